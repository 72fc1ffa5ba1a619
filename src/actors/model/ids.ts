/** Branded names and numbers: a value of one kind cannot be handed over as another. */
declare const brand: unique symbol;
type Brand<T, B extends string> = T & { readonly [brand]: B };

/** The Juju application, for instance `pgbouncer`. */
export type Application = Brand<string, 'Application'>;
/** One replica, `<application>/<number>`. */
export type UnitName = Brand<string, 'UnitName'>;
/** Fencing number issued with each grant of the lease; only rises. */
export type Epoch = Brand<number, 'Epoch'>;
/** Random name of one life of a process (128 bits, hex). */
export type Nonce = Brand<string, 'Nonce'>;
/** Number of a published fleet spec; rises by one with each publication. */
export type Generation = Brand<number, 'Generation'>;
/** Number of a relation within its application; never used twice. */
export type RelationId = Brand<number, 'RelationId'>;
/** Milliseconds: of the monotonic clock, or a duration. Wall-clock instants are `WallMs`. */
export type Millis = Brand<number, 'Millis'>;
/** Milliseconds since 1970, for instants that outlive a process. */
export type WallMs = Brand<number, 'WallMs'>;
/** Hex SHA-256 of canonical bytes. */
export type Digest = Brand<string, 'Digest'>;

/** What has a budget: a database, for all of its clients together, or the login of one client. */
export interface BudgetKey {
  readonly of: 'database' | 'login';
  readonly name: string;
}

export const unitNameOf = (application: Application, number: number): UnitName =>
  `${application}/${number}` as UnitName;
export const applicationOf = (unit: UnitName): Application => unit.slice(0, unit.lastIndexOf('/')) as Application;
export const unitNumberOf = (unit: UnitName): number => Number(unit.slice(unit.lastIndexOf('/') + 1));

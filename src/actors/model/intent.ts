import type { Nonce, RelationId, UnitName, WallMs } from './ids.ts';
import type { Secret } from './secret.ts';

/** A value of an option as the operator gave it, already checked against the catalogue. */
export type OptionValue = string | number | boolean;
export type Options = Readonly<Record<string, OptionValue>>;

/** A PostgreSQL cluster as the operator describes it: candidates, and the login we administer it with. */
export interface BackendIntent {
  readonly id: RelationId;
  /** `host:port` (IPv6 in brackets); the primary is found among them. */
  readonly endpoints: readonly string[];
  readonly username: string;
  readonly password: Secret;
  /** Database that this login may connect to for administration. */
  readonly maintenanceDatabase: string;
  /** System identifier of the cluster that may take the place of the one served so far; null: none may. */
  readonly cluster: string | null;
}

export type PoolMode = (typeof poolModes)[number];
export const poolModes = ['session', 'transaction', 'statement'] as const;

/** Whole seconds; 0: never. */
export const clientTimeouts = [
  'queryTimeout',
  'transactionTimeout',
  'idleTransactionTimeout',
  'clientIdleTimeout',
  'queryWaitTimeout',
] as const;
export type ClientTimeout = (typeof clientTimeouts)[number];

/** What a client has otherwise than the options say. */
export interface ClientSettings {
  /** Null: as the option says. */
  readonly poolMode: PoolMode | null;
  /** Server connections of its login, of the whole fleet together; null: no limit of its own. */
  readonly budget: number | null;
  /** One that is absent is as the option of the same name says. */
  readonly timeouts: Readonly<Partial<Record<ClientTimeout, number>>>;
}

/** An application that relates to us. */
export interface ClientIntent extends ClientSettings {
  readonly id: RelationId;
  readonly database: string;
  readonly backend: string;
  /** `extra-user-roles` of the interface, for instance `createdb`; sorted, no duplicates. */
  readonly extraUserRoles: readonly string[];
}

/**
 * The operator's wish that a unit leaves: the life of it that has this nonce, and no later one. A unit that is silent is taken
 * off the roster at once only when that is `forced`, because its PgBouncers may well serve.
 */
export interface Departure {
  readonly unit: UnitName;
  readonly nonce: Nonce;
  readonly forced: boolean;
}

/**
 * What the operator asked for. One versioned object: every change names the version it was made from.
 * `nextRelation` is the id the next relation gets, so that no id is ever used for two lives.
 */
export interface Intent {
  readonly version: number;
  readonly author: string;
  readonly reason: string;
  readonly at: WallMs;
  readonly nextRelation: RelationId;
  readonly options: Options;
  readonly backends: Readonly<Record<string, BackendIntent>>;
  readonly clients: Readonly<Record<string, ClientIntent>>;
  /** Of units that were on the roster when the intent was last changed. */
  readonly departures: readonly Departure[];
  /** What is stored and cannot be read: it is asked for, nobody knows how. It stays as it is until it is asked for anew, or removed. */
  readonly unreadable: readonly UnreadableEntry[];
}

/** One option, backend or client of an intent that somebody else than Troupe has written. */
export interface UnreadableEntry {
  readonly of: 'options' | 'backends' | 'clients';
  readonly name: string;
  /** Of a relation; null when not even that can be told. */
  readonly id: RelationId | null;
  readonly reason: string;
  /** As it is stored, with what is sealed in it sealed. */
  readonly stored: unknown;
}

export const unreadableIn = (
  intent: Intent | null,
  of: UnreadableEntry['of'],
  name: string,
): UnreadableEntry | undefined => intent?.unreadable.find((one) => one.of === of && one.name === name);

/** The others, once one has been asked for anew or removed. */
export const withoutUnreadable = (
  intent: Intent,
  of: UnreadableEntry['of'],
  names: ReadonlySet<string>,
): Intent['unreadable'] => {
  const rest = intent.unreadable.filter((one) => one.of !== of || !names.has(one.name));
  return rest.length === intent.unreadable.length ? intent.unreadable : rest;
};

/** The wish, if any, that this life of a unit leaves. */
export const departureOf = (
  intent: Intent | null,
  { unit, nonce }: { readonly unit: UnitName; readonly nonce: Nonce },
): Departure | null => intent?.departures.find((wish) => wish.unit === unit && wish.nonce === nonce) ?? null;

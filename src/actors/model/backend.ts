import type { Right } from './right.ts';
import type { Secret } from './secret.ts';
import type { BackendReport } from './snapshot.ts';

/** How to reach a PostgreSQL cluster as its administrator. */
export interface BackendAccess {
  readonly name: string;
  readonly endpoints: readonly string[];
  readonly username: string;
  readonly password: Secret;
  readonly maintenanceDatabase: string;
}

export interface BackendServer {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, IPv6 in brackets. */
export const textOf = ({ host, port }: BackendServer): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

/** What one look at a backend found. `blocked` needs a person (wrong password, missing right, two primaries); `away` may pass. */
export type BackendFacts =
  | {
      readonly kind: 'ready';
      readonly primary: BackendServer;
      readonly standbys: readonly BackendServer[];
      /** Those that were looked at and did not answer. */
      readonly silent: readonly BackendServer[];
      /** `server_version_num`, for instance 170011. */
      readonly version: number;
      readonly systemId: string;
      readonly timeline: number;
      readonly maxConnections: number;
      /** Those of them that are for everybody. */
      readonly clientConnections: number;
      /** What clients suffer from there although it serves. */
      readonly ailments: readonly Ailment[];
    }
  | { readonly kind: 'away'; readonly reason: string }
  | { readonly kind: 'blocked'; readonly reason: string };

/** `170011` → `17.11`, as PostgreSQL prints itself since version 10. */
export const versionText = (number: number): string => `${Math.floor(number / 10_000)}.${number % 10_000}`;

/** Those that are ready. */
export const reportsOf = (facts: ReadonlyMap<string, BackendFacts>): readonly BackendReport[] =>
  [...facts].flatMap(([name, its]): readonly BackendReport[] => {
    if (its.kind !== 'ready') return [];
    const { primary, standbys, version, timeline, systemId, clientConnections } = its;
    const servers = { primary: textOf(primary), standbys: standbys.map(textOf) };
    return [{ name, ...servers, version: versionText(version), timeline, systemId, clientConnections }];
  });

/**
 * What to act on. Behind the addresses of a backend that is served there may one day be another cluster, restored from a dump or
 * meant for something else: nothing is made there and no client is sent there until the operator says that it is the successor.
 */
export const heldOff = (facts: BackendFacts, served: string | undefined, accepted: string | null): BackendFacts => {
  if (facts.kind !== 'ready' || served === undefined || facts.systemId === 'unknown') return facts;
  const { systemId, primary } = facts;
  if (systemId === served || systemId === accepted) return facts;
  return {
    kind: 'blocked',
    reason: `${textOf(primary)} belongs to another PostgreSQL cluster (system identifier ${systemId}) than the one that is served (${served}); clients stay where they are and nothing is changed there: correct the endpoints, or, if it is to take the place of the other, integrate the backend again with --accept-cluster ${systemId}`,
  };
};

/** `readOnly`: new transactions cannot write. `full`: it takes no further connections. */
export type Ailment = 'readOnly' | 'full';

/**
 * One idempotent step on the primary of a backend. `tag` is the comment that marks what we made: `troupe:<application>:<relation>`.
 * `verifier` is a SCRAM-SHA-256 secret that PostgreSQL keeps as given.
 */
export type PostgresStep =
  /** Marks this leadership as the newest in the maintenance database and ends sessions of earlier ones. */
  | { readonly type: 'raiseFence' }
  /** Owner role (NOLOGIN) and database; PUBLIC loses CONNECT and TEMP. */
  | { readonly type: 'ensureDatabase'; readonly database: string }
  /** The same for a database that was there already: one that is gone is not made anew. */
  | { readonly type: 'mendDatabase'; readonly database: string }
  | {
      readonly type: 'ensureLogin';
      readonly relation: number;
      readonly database: string;
      readonly username: string;
      readonly verifier: Secret;
      readonly extraUserRoles: readonly string[];
    }
  /**
   * A database that its client had before this application served it, so that its owner role and its clients to come have their place
   * there: who has rights in it keeps them. It is never made anew.
   */
  | { readonly type: 'adoptDatabase'; readonly database: string }
  /** A login that its client had before: marked as ours, with the password and the rights it has. `password` has to be its own. */
  | {
      readonly type: 'adoptLogin';
      readonly relation: number;
      readonly database: string;
      readonly username: string;
      readonly password: Secret;
      readonly verifier: Secret;
      readonly rights: readonly Right[];
    }
  /**
   * For logins that the client `username` makes by itself: a role that lets those it is granted to into the database, a login that may
   * ask for their secrets, and the function that it asks.
   */
  | {
      readonly type: 'ensureLookup';
      readonly relation: number;
      readonly database: string;
      readonly username: string;
      readonly lookup: LookupLogin;
    }
  /** `isLast`: no other client of the database makes logins, so that nothing of it stays. `username` is the login that asks. */
  | {
      readonly type: 'dropLookup';
      readonly relation: number;
      readonly database: string;
      readonly username: string;
      readonly isLast: boolean;
    }
  /** Ends its sessions, gives what it owns to the database's owner role, drops the login. The database stays. */
  | { readonly type: 'dropLogin'; readonly relation: number; readonly username: string };

export type PostgresOutcome =
  | { readonly kind: 'done' }
  /** A newer leadership has been seen there. */
  | { readonly kind: 'fenced' }
  /** PostgreSQL's own words: a person must act. */
  | { readonly kind: 'refused'; readonly reason: string };

/** By which PgBouncer asks for the secrets of logins that Troupe did not make. */
export interface LookupLogin {
  readonly username: string;
  readonly verifier: Secret;
}

/** A login that carries our tag. */
export interface TaggedLogin {
  readonly relation: number;
  readonly username: string;
}

/** What a relation that was provisioned is to find on its backend. */
export interface Provision {
  readonly relation: number;
  readonly database: string;
  readonly username: string;
  readonly password: Secret;
  readonly verifier: Secret;
  readonly extraUserRoles: readonly string[];
  /** Its login was there before, and may have these; absent: we made it. */
  readonly adopted?: readonly Right[];
  /** Absent or null: its login makes none, or nothing was made for that yet. */
  readonly lookup?: LookupLogin | null;
}

/** What it does not find as it was left: `mendable` by repeating that step, `hindered` until a person acts, or its database is `lost`. */
export type Finding =
  | {
      readonly kind: 'mendable';
      readonly relation: number;
      readonly step: 'mendDatabase' | 'ensureLogin' | 'ensureLookup';
    }
  | { readonly kind: 'hindered'; readonly relation: number; readonly reason: string }
  | { readonly kind: 'lost'; readonly relation: number; readonly reason: string };

/** `unfenced`: our fence does not stand there (any more). `fenced`: a newer leadership has been seen there. */
export type Audit =
  | { readonly kind: 'audited'; readonly logins: readonly TaggedLogin[]; readonly findings: readonly Finding[] }
  | { readonly kind: 'unfenced' }
  | { readonly kind: 'fenced' };

import type { Secret } from './secret.ts';

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

/** What one look at a backend found. `blocked` needs a person (wrong password, missing right, two primaries); `away` may pass. */
export type BackendFacts =
  | {
      readonly kind: 'ready';
      readonly primary: BackendServer;
      readonly standbys: readonly BackendServer[];
      /** `server_version_num`, for instance 170011. */
      readonly version: number;
      readonly systemId: string;
      readonly timeline: number;
      readonly maxConnections: number;
    }
  | { readonly kind: 'away'; readonly reason: string }
  | { readonly kind: 'blocked'; readonly reason: string };

/**
 * One idempotent step on the primary of a backend. `tag` is the comment that marks what we made: `troupe:<application>:<relation>`.
 * `verifier` is a SCRAM-SHA-256 secret that PostgreSQL keeps as given.
 */
export type PostgresStep =
  /** Marks this leadership as the newest in the maintenance database and ends sessions of earlier ones. */
  | { readonly type: 'raiseFence' }
  /** Owner role (NOLOGIN) and database; PUBLIC loses CONNECT and TEMP. */
  | { readonly type: 'ensureDatabase'; readonly database: string }
  | {
      readonly type: 'ensureLogin';
      readonly relation: number;
      readonly database: string;
      readonly username: string;
      readonly verifier: Secret;
      readonly extraUserRoles: readonly string[];
    }
  /** Ends its sessions, gives what it owns to the database's owner role, drops the login. The database stays. */
  | { readonly type: 'dropLogin'; readonly relation: number; readonly username: string };

export type PostgresOutcome =
  | { readonly kind: 'done' }
  /** A newer leadership has been seen there. */
  | { readonly kind: 'fenced' }
  /** PostgreSQL's own words: a person must act. */
  | { readonly kind: 'refused'; readonly reason: string };

/** A login that carries our tag. */
export interface TaggedLogin {
  readonly relation: number;
  readonly username: string;
}

import type { OptionValue } from './intent.ts';
import type { StatusWord } from './waits.ts';

/** What `troupe status --json` prints and `/v1/status` answers: a public contract, add freely, change with care. */
export interface FleetStatus {
  readonly schemaVersion: 1;
  readonly application: string;
  /** The unit that answered. */
  readonly answeredBy: string;
  readonly backplane: {
    readonly kind: string;
    readonly state: 'connected' | 'unreachable' | 'recovering' | 'reseeding' | 'conflicted';
    readonly message: string;
    /** ISO 8601. */
    readonly since: string;
  };
  readonly leader: { readonly unit: string; readonly epoch: number } | null;
  /** Null before anybody asked for anything. */
  readonly intent: { readonly version: number; readonly author: string; readonly at: string } | null;
  /** `published.intentVersion` names the intent it was made from; `refused` the intent that is not published again until it changes. */
  readonly generation: {
    readonly published: number | null;
    readonly good: number | null;
    readonly intentVersion: number | null;
    readonly refused: { readonly intentVersion: number; readonly reason: string } | null;
  };
  readonly units: readonly UnitStatus[];
  /** Of everything that has a limit, with what all units together have of it. */
  readonly budgets: readonly (BudgetStatus & { readonly total: number })[];
  readonly relations: readonly RelationStatus[];
}

/** Server connections to a database, of all its clients together, or of one client. */
export interface BudgetStatus {
  readonly of: 'database' | 'client';
  readonly name: string;
  /** Share. 0: it is not served yet, because others still hold what it is to be. */
  readonly given: number;
  /** Open, as counted within the last seconds. */
  readonly used: number;
  /** Most that may be open: above `given` while some must still close. Null: there is no limit yet. */
  readonly held: number | null;
}

export interface UnitStatus {
  readonly unit: string;
  readonly number: number;
  /** Where clients reach its instances, `host:port`; empty before the first fleet spec. */
  readonly address: string;
  readonly leader: boolean;
  /** Of the coordinator. */
  readonly pid: number | null;
  readonly version: string | null;
  readonly status: StatusWord;
  readonly message: string;
  readonly generation: {
    readonly applied: number | null;
    readonly refused: { readonly generation: number; readonly reason: string } | null;
  };
  readonly instances: readonly {
    readonly id: number;
    readonly pid: number | null;
    readonly state: string;
    readonly version: string | null;
  }[];
  readonly waits: readonly {
    readonly id: string;
    readonly kind: 'waiting' | 'blocked';
    readonly message: string;
    readonly since: string;
    readonly on: string;
  }[];
  /** What a person should know though the unit serves. */
  readonly remarks: readonly { readonly id: string; readonly message: string; readonly since: string }[];
  readonly budget: readonly BudgetStatus[];
  readonly lastSeenMs: number | null;
  /** The operator asked for its departure: it is drained, or waits for the leader to take it off the roster. */
  readonly leaving: boolean;
  /** What the PgBouncer that runs there is known to suffer from, and the version that mends it. */
  readonly weaknesses: readonly { readonly id: string; readonly sentence: string; readonly mendedIn: string }[];
}

export interface RelationStatus {
  readonly id: number;
  readonly name: string;
  readonly endpoint: 'backend-database' | 'database';
  /** What the client asked for; null for a backend. */
  readonly database: string | null;
  readonly life: 'alive' | 'dying';
  readonly state: 'active' | 'waiting' | 'blocked';
  readonly message: string;
  /** Of a backend that is ready, as the leader sees it; null for a client. */
  readonly servers: {
    readonly primary: string;
    readonly standbys: readonly string[];
    readonly version: string;
    readonly timeline: number;
    /** System identifier of the cluster. */
    readonly systemId: string;
    /** What its primary takes, less those that are reserved for superusers. 0: not known. */
    readonly clientConnections: number;
  } | null;
}

/** The options as in force, each with its default and whether the operator set it. */
export interface OptionsView {
  /** 0 before anybody asked for anything. */
  readonly version: number;
  readonly options: readonly {
    readonly key: string;
    readonly value: OptionValue;
    readonly default: OptionValue;
    readonly set: boolean;
    readonly help: string;
  }[];
}

/** What a client is given. */
export interface Credentials {
  readonly client: string;
  readonly database: string;
  readonly username: string;
  readonly password: string;
  /** `host:port`, one for each live unit. */
  readonly endpoints: readonly string[];
  /** The same units; empty while reads lead nowhere. */
  readonly readOnlyEndpoints: readonly string[];
  /** Name under which they are read from there; null while reads lead nowhere. */
  readonly readOnlyDatabase: string | null;
  /** Whom to trust when connecting with TLS, in PEM; null while not all of the units serve it. */
  readonly tlsAuthorities: string | null;
}

/** One decision of an actor, newest last; holds no secret. */
export interface TraceEntry {
  readonly seq: number;
  /** ISO 8601. */
  readonly at: string;
  readonly actor: string;
  readonly message: string;
  readonly tells: readonly string[];
  readonly effects: readonly string[];
}

/** A pool as the console of its instance shows it; the console's own is left out. */
export interface PoolStatus {
  readonly instance: number;
  readonly database: string;
  readonly user: string;
  readonly mode: string;
  readonly clients: { readonly active: number; readonly waiting: number };
  /** `other`: being logged in, tested or cancelled. */
  readonly servers: { readonly active: number; readonly idle: number; readonly other: number };
  /** Of the client that has waited longest. */
  readonly waitMs: number;
}

/** A client connection as the console of its instance shows it. */
export interface ClientConnection {
  readonly instance: number;
  readonly pid: number | null;
  readonly user: string;
  readonly database: string;
  readonly address: string;
  readonly port: number;
  readonly state: string;
}

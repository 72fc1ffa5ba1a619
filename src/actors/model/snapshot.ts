import type { Published, Verdict } from './fleet-spec.ts';
import type { BudgetKey, Epoch, Generation, Nonce, RelationId, UnitName } from './ids.ts';
import type { Intent } from './intent.ts';
import type { Right } from './right.ts';
import type { Secret } from './secret.ts';
import type { StatusWord, Wait } from './waits.ts';

/** One PgBouncer process as its unit sees it. */
export interface InstanceReport {
  readonly id: number;
  readonly pid: number | null;
  readonly state: 'serving' | 'starting' | 'stopped' | 'failing';
  /** Version that runs, which may be older than the binary on disk. */
  readonly version: string | null;
}

/** One unit's part of a budget. */
export interface BudgetReport extends BudgetKey {
  /** The unit's part of what its verified generation gives out; 0: it serves nothing of this yet. */
  readonly given: number;
  /** Pooled connections that are open. */
  readonly used: number;
  /** Most that may be open before anything here changes: above `given` while some must still close. Null: there is no limit. */
  readonly held: number | null;
}

/** A backend that is ready, in words for people. */
export interface BackendReport {
  readonly name: string;
  readonly primary: string;
  readonly standbys: readonly string[];
  readonly version: string;
  readonly timeline: number;
  readonly systemId: string;
  /** What its primary takes, less those that are reserved for superusers. 0: not known. */
  readonly clientConnections: number;
}

/** A unit's databag: what it tells its peers. Written by that unit only. */
export interface UnitBag {
  readonly status: StatusWord;
  readonly message: string;
  /** Coordinator's process and version. */
  readonly pid: number;
  readonly version: string;
  /** `host:port` at which clients reach the instances; empty before the first fleet spec. */
  readonly address: string;
  readonly applied: Generation | null;
  readonly refused: { readonly generation: Generation; readonly reason: string } | null;
  readonly instances: readonly InstanceReport[];
  readonly budget: readonly BudgetReport[];
  /** Whom clients of this unit are to trust, in PEM; null: it serves without TLS. */
  readonly tls: { readonly authorities: string } | null;
  /** As the leader sees them; empty for everybody else. */
  readonly backends: readonly BackendReport[];
  readonly waits: readonly {
    readonly id: string;
    readonly kind: Wait['kind'];
    readonly message: string;
    readonly sinceWallMs: number;
    readonly on: string;
  }[];
  /** What a person should know though the unit serves. */
  readonly remarks: readonly { readonly id: string; readonly message: string; readonly sinceWallMs: number }[];
}

/** A unit of the roster. `silentMs` counts from its last heartbeat by the store's clock, as of the reading. */
export interface UnitRecord {
  readonly unit: UnitName;
  readonly instances: number;
  readonly nonce: Nonce;
  readonly silentMs: number;
  /** `down`: stopped on purpose, keeps number and share for the departure grace. */
  readonly presence: 'live' | 'silent' | 'down';
  readonly bag: UnitBag | null;
}

/** Login of a client: what PostgreSQL and the auth files hold (`verifier`) and what the client is given (`password`). */
export interface Account {
  readonly username: string;
  readonly password: Secret;
  readonly verifier: Secret;
}

/**
 * Our side of a client relation, written under leadership. It outlives the operator's wish for it: a relation is alive while the
 * intent names it, dying while only this record is left, gone when the record is removed.
 */
export interface RelationRecord {
  readonly id: RelationId;
  readonly name: string;
  readonly database: string;
  readonly backend: string;
  readonly account: Account;
  /** Its login and database were there before, and the login may have these rights; absent: we made them. */
  readonly adopted?: readonly Right[];
  /** PostgreSQL confirmed login, database and rights. */
  readonly provisioned: boolean;
  /** For logins that the client makes by itself; absent or null: it makes none, or nothing was done for them yet. */
  readonly lookup?: { readonly account: Account; readonly ready: boolean } | null;
  /** Our databag with the keys of `postgresql_client`; null until every live unit serves the login. */
  readonly databag: Databag | null;
}
/** What a client was given by whoever served it before this application did: it goes on with it. */
export interface Inheritance {
  readonly id: RelationId;
  readonly username: string;
  /** Printable ASCII. */
  readonly password: Secret;
  /** Attributes that its relation has asked for. */
  readonly rights: readonly Right[];
}
export type Databag = Readonly<Record<string, string | Secret>>;

/** The lease as the store tells it. `freeInMs` is 0 when nobody holds it; `reservedFor` may take it first after a hand-over. */
export interface LeaseView {
  readonly holder: UnitName | null;
  readonly nonce: Nonce | null;
  readonly epoch: Epoch;
  readonly freeInMs: number;
}

/**
 * Everything the backplane holds for a unit, read at once. Absence here is knowledge: `intent: null` says that nobody asked for
 * anything yet. (A snapshot that could not be read is no snapshot.)
 */
export interface Snapshot {
  readonly lease: LeaseView;
  readonly intent: Intent | null;
  readonly published: Published | null;
  readonly verdict: Verdict;
  readonly units: readonly UnitRecord[];
  readonly relations: readonly RelationRecord[];
  /** Of clients without a record that can be read. Absent: nobody served here before. */
  readonly inherited?: readonly Inheritance[];
  /** Objects that are there and cannot be read. Nothing of them is told above but the last copy that could be: unknown is not none. */
  readonly damaged: readonly DamagedObject[];
}

export interface DamagedObject {
  /** As the store names it: `rel:7`, `unit:pgbouncer/0`, `intent`. */
  readonly object: string;
  /** Of a record of ours about a client relation. */
  readonly relation: RelationId | null;
  /** Whose databag it is. */
  readonly unit: UnitName | null;
  readonly reason: string;
}

/** What outlives the process of a unit: small, versioned, in the ledger file (standalone) or charm state (Juju). */
export interface Memory {
  readonly verified: Published | null;
  readonly waits: readonly { readonly id: string; readonly sinceWallMs: number }[];
}

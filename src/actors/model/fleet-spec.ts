import type { BudgetKey, Digest, Epoch, Generation, UnitName, WallMs } from './ids.ts';
import type { ClientSettings, Options, PoolMode } from './intent.ts';
import type { Secret } from './secret.ts';

/** The cluster that a backend was when it was first served, by its system identifier. */
export interface BackendSpec {
  readonly name: string;
  readonly systemId: string;
}

/** Under which name clients read `database` from standbys; null when that would be too long for a name. */
export const readOnlyNameOf = (database: string): string | null =>
  database.length + readOnlySuffix.length <= longestName ? `${database}${readOnlySuffix}` : null;
export const readOnlySuffix = '_readonly';
const longestName = 63;

/** One line of `[databases]`: what clients ask for by `name` is `database` on the server at host:port. */
export interface DatabaseSpec {
  readonly name: string;
  readonly database: string;
  readonly backend: string;
  /** Of one server; where clients only read, of several of the same port, with commas between them. */
  readonly host: string;
  readonly port: number;
  /** Pooled connections for the whole fleet; 0 means unlimited. */
  readonly maxConnections: number;
  /** For reads from standbys: its transactions cannot write unless they say so. */
  readonly readOnly: boolean;
  /** The login in `users` by which logins are looked up that are not there; absent: they are unknown. */
  readonly lookup?: string;
}

/** Where clients of a backend were before it moved, and nobody answered any more: nothing there is worth waiting for. */
export interface AbandonedSpec {
  readonly backend: string;
  readonly host: string;
  readonly port: number;
}

/**
 * A login in every unit's auth file. `secret` is PostgreSQL's own SCRAM-SHA-256 verifier, so logins pass through; of a login by which
 * others are looked up it is the password, because PgBouncer itself logs in with it, and no verifier suffices for that.
 */
export interface UserSpec {
  readonly name: string;
  readonly secret: Secret;
  /** Null: as the option says. */
  readonly poolMode: PoolMode | null;
  /** Server connections for the whole fleet; 0 means no limit of its own. */
  readonly maxConnections: number;
  readonly timeouts: ClientSettings['timeouts'];
}

/** Who shares the budget: a unit of the roster and how many instances it runs. Sorted by unit number. */
export interface SlotSpec {
  readonly unit: UnitName;
  readonly instances: number;
}

/**
 * While shares of a budget move: a unit whose part is not the exact one yet, or that may still hold more than its part. So whoever
 * leads next knows from the spec and the databags alone what everybody may hold.
 */
export interface HoldingSpec extends BudgetKey {
  readonly unit: UnitName;
  /** What it may use once it has taken this generation. */
  readonly granted: number;
  /** What it may hold until it has shown that it does not; null: it had no limit. */
  readonly reserved: number | null;
}

/**
 * What the leader composed for the whole fleet: no paths, no addresses of units, no per-unit facts but shares of the budget.
 * Same inputs give the same bytes. `options` are complete (defaults included) and are the operator's words, not PgBouncer's.
 */
export interface FleetSpec {
  readonly options: Options;
  readonly backends: readonly BackendSpec[];
  /** By the last move of each backend. */
  readonly abandoned: readonly AbandonedSpec[];
  readonly databases: readonly DatabaseSpec[];
  readonly users: readonly UserSpec[];
  readonly slots: readonly SlotSpec[];
  /** Where shares differ from the exact division over the slots. Empty at rest. */
  readonly holdings: readonly HoldingSpec[];
}

/** A fleet spec with its number and where it came from. Write-once per generation. */
export interface Published {
  readonly generation: Generation;
  readonly epoch: Epoch;
  readonly digest: Digest;
  readonly author: UnitName;
  readonly reason: string;
  readonly at: WallMs;
  readonly intentVersion: number;
  readonly spec: FleetSpec;
}

/**
 * What the leader says about generations, beside the newest one: the good one (verified by every unit it had to reach),
 * the intent it came from (to go back to), and the intent that was refused and is not published again until it changes.
 */
export interface Verdict {
  /** Newest intent that the published generation answers: an intent may ask for what is so already. */
  readonly covers: number;
  readonly good: { readonly generation: Generation; readonly intentVersion: number; readonly options: Options } | null;
  readonly refused: { readonly intentVersion: number; readonly reason: string } | null;
}

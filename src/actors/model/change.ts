import type { Difference } from './difference.ts';
import type { UnitName, WallMs } from './ids.ts';
import type { ClientTimeout, OptionValue, PoolMode } from './intent.ts';
import type { Secret } from './secret.ts';

/** A change an operator asks for, already parsed. `null` resets an option to its default. */
export type Change =
  | { readonly type: 'setOptions'; readonly options: Readonly<Record<string, OptionValue | null>> }
  | {
      readonly type: 'addBackend';
      readonly name: string;
      readonly endpoints: readonly string[];
      readonly username: string;
      readonly password: Secret;
      /** Null: as it was, or `postgres`. */
      readonly maintenanceDatabase: string | null;
      /** System identifier of the cluster that takes the place of the one served so far. */
      readonly acceptCluster?: string | undefined;
    }
  | {
      readonly type: 'addClient';
      readonly name: string;
      readonly database: string;
      /** Null: the one it has, or the only one there is. */
      readonly backend: string | null;
      /** Null: those it has, or none. */
      readonly extraUserRoles: readonly string[] | null;
      readonly settings?: SettingsChange;
    }
  | { readonly type: 'removeRelation'; readonly name: string }
  /** `force`: also when it is silent, or the last one that serves. */
  | { readonly type: 'removeUnit'; readonly unit: UnitName; readonly force: boolean }
  | FleetChange;

/**
 * Everything at once, as a fleet file says it. What it does not name stays; with `prune` it is removed, or back to its default.
 */
export interface FleetChange {
  readonly type: 'applyFleet';
  /** Refused by any other application; null: any. */
  readonly application: string | null;
  readonly options: Readonly<Record<string, OptionValue>>;
  readonly backends: Readonly<Record<string, Omit<Extract<Change, { type: 'addBackend' }>, 'type' | 'name'>>>;
  readonly clients: Readonly<Record<string, Omit<Extract<Change, { type: 'addClient' }>, 'type' | 'name'>>>;
  readonly prune: boolean;
}

/** Settings of a client: what is absent stays as it is, null takes back what was set. */
export interface SettingsChange {
  readonly poolMode?: PoolMode | null | undefined;
  /** 0 is no limit, too. */
  readonly budget?: number | null | undefined;
  readonly timeouts?: { readonly [T in ClientTimeout]?: number | null | undefined } | undefined;
}

/**
 * What became of it. `unchanged`: already so. `invalid`: what, where, why. `refused`: valid, but not now or not like this.
 * `unavailable`: nobody knows whether it was kept.
 */
export type ChangeOutcome =
  | { readonly kind: 'accepted'; readonly version: number }
  | { readonly kind: 'unchanged'; readonly version: number }
  | { readonly kind: 'invalid'; readonly problems: readonly { readonly path: string; readonly reason: string }[] }
  | { readonly kind: 'refused'; readonly reason: string }
  | Moved
  | { readonly kind: 'unavailable'; readonly reason: string };

/** Nothing was changed: what would be. `kept` names what a fleet file does not. */
export interface Compared {
  readonly kind: 'compared';
  readonly version: number;
  readonly difference: Difference;
  readonly kept: readonly string[];
}

/** Somebody else changed the intent meanwhile: nothing was done. */
export interface Moved {
  readonly kind: 'moved';
  readonly version: number;
  /** Of the last change. */
  readonly by: string;
  readonly at: WallMs;
  /** What changed since the version that was looked at; null: this unit has not seen that one. */
  readonly since: Difference | null;
}

import type { UnitName } from './ids.ts';
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
      readonly maintenanceDatabase: string;
      /** System identifier of the cluster that takes the place of the one served so far. */
      readonly acceptCluster?: string | undefined;
    }
  | {
      readonly type: 'addClient';
      readonly name: string;
      readonly database: string;
      /** Null: the only backend there is. */
      readonly backend: string | null;
      /** Null: those it has, or none. */
      readonly extraUserRoles: readonly string[] | null;
      readonly settings?: SettingsChange;
    }
  | { readonly type: 'removeRelation'; readonly name: string }
  /** `force`: also when it is silent, or the last one that serves. */
  | { readonly type: 'removeUnit'; readonly unit: UnitName; readonly force: boolean };

/** Settings of a client: what is absent stays as it is, null takes back what was set. */
export interface SettingsChange {
  readonly poolMode?: PoolMode | null | undefined;
  /** 0 is no limit, too. */
  readonly budget?: number | null | undefined;
  readonly timeouts?: { readonly [T in ClientTimeout]?: number | null | undefined } | undefined;
}

/**
 * What became of it. `unchanged`: already so. `invalid`: what, where, why. `refused`: valid, but not now or not like this.
 * `moved`: somebody else changed the intent meanwhile. `unavailable`: nobody knows whether it was kept.
 */
export type ChangeOutcome =
  | { readonly kind: 'accepted' | 'unchanged'; readonly version: number }
  | { readonly kind: 'invalid'; readonly problems: readonly { readonly path: string; readonly reason: string }[] }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'moved'; readonly version: number; readonly by: string }
  | { readonly kind: 'unavailable'; readonly reason: string };

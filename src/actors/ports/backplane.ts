import type { FleetSpec, Published, Verdict } from '../model/fleet-spec.ts';
import type { Epoch, Generation, Millis, RelationId, UnitName } from '../model/ids.ts';
import type { Intent } from '../model/intent.ts';
import type { Leadership } from '../model/leadership.ts';
import type { Memory, RelationRecord, Snapshot, UnitBag } from '../model/snapshot.ts';

/** `refused`: this process may not take part (another one has its name, or its key does not open the fleet's secrets). */
export type Observation =
  | { readonly kind: 'observed'; readonly snapshot: Snapshot }
  | { readonly kind: 'refused'; readonly reason: string };

export type AcquireResult =
  | { readonly kind: 'granted'; readonly epoch: Epoch }
  | { readonly kind: 'held'; readonly by: UnitName; readonly freeInMs: number };
export type RenewResult = { readonly kind: 'renewed' } | { readonly kind: 'lost' };

/** Juju answers `staged`: it commits when the dispatch ends. Nothing irreversible may follow from that. */
export type WriteResult =
  | { readonly kind: 'committed' | 'staged' }
  | { readonly kind: 'fenced' }
  /** The object moved since it was read: observe, then decide again. */
  | { readonly kind: 'conflict' };

export type PublishResult =
  | { readonly kind: 'committed' | 'staged'; readonly published: Published }
  | { readonly kind: 'fenced' }
  | { readonly kind: 'conflict' };

/** No answer in time. Whether the store acted is unknown; repeating the same call with the same arguments is always safe. */
export class BackplaneUnavailable extends Error {
  override readonly name = 'BackplaneUnavailable';
}

/** What survives in the state directory: known before the store is. `null` where nothing was ever heard. */
export interface Recalled {
  readonly memory: Memory;
  readonly intent: Intent | null;
  readonly published: Published | null;
  /** Highest epoch this unit ever accepted. */
  readonly epoch: Epoch;
  /** What of it could not be read at this start: a sentence for each, with the file and what follows. */
  readonly losses: readonly string[];
}

/**
 * Memory shared by the units of one application, seen by one of them. What the store answers is a result; methods reject with
 * BackplaneUnavailable and nothing else. Every write may be repeated with the same arguments without doing more.
 * What it tells was kept in the state directory before it is told (persist before act).
 */
export interface Backplane extends AsyncDisposable {
  /** From the state directory, without the store. */
  recall(): Promise<Recalled>;
  /** Keeps what must outlive this process. */
  remember(memory: Memory): Promise<void>;

  /**
   * Joins when needed, says that this unit lives, and reads everything it may see as of one moment. A snapshot is never older
   * than a write of this unit that was answered before it is told: what was learned from an answer is not taken back.
   */
  observe(): Promise<Observation>;

  /** Grants the lease if free or already ours (same nonce: same epoch); every new grant has a higher epoch than all before it. */
  acquireLease(ttl: Millis): Promise<AcquireResult>;
  /** An expired lease is not revived. */
  renewLease(leadership: Leadership, ttl: Millis): Promise<RenewResult>;
  /** Hands the lease back early, `successor` first in line for `reserve`; does nothing when it is no longer ours. */
  releaseLease(leadership: Leadership, successor: UnitName | null, reserve: Millis): Promise<void>;

  /** Replaces intent of version `next.version - 1`; no leadership needed, it states a wish. Version 1 is the first. */
  changeIntent(next: Intent): Promise<WriteResult>;

  /** Stores the spec as the generation after `after` (0: the first), unless a newer leadership exists. */
  publish(
    leadership: Leadership,
    after: Generation,
    spec: FleetSpec,
    about: { readonly intentVersion: number; readonly reason: string },
  ): Promise<PublishResult>;
  /** Stores the leader's verdict about generations. */
  judge(leadership: Leadership, verdict: Verdict): Promise<WriteResult>;

  /** Stores our side of a client relation; creates it when it is not there. */
  writeRelation(leadership: Leadership, record: RelationRecord): Promise<WriteResult>;
  /** Forgets our side of a relation that is gone. */
  removeRelation(leadership: Leadership, id: RelationId): Promise<WriteResult>;
  /** Removes a departed unit from the roster, with its databag. */
  removeUnit(leadership: Leadership, unit: UnitName): Promise<WriteResult>;

  /** This unit's databag. `fenced`: another process has taken this unit's name. */
  writeBag(bag: UnitBag): Promise<WriteResult>;
  /** Stops being live on purpose: `down` keeps number and share, `departed` gives both up. */
  leave(how: 'down' | 'departed'): Promise<void>;

  /** A hint to observe again: may repeat, may be lost while disconnected, comes once after each reconnect. */
  onHint(hint: () => void): Disposable;
}

/** The kind of an answer, or that there was none: what a write comes to for the actor that asked for it. */
export const kindOrUnavailable = async <K extends string>(
  ask: () => Promise<{ readonly kind: K }>,
): Promise<K | 'unavailable'> => {
  try {
    return (await ask()).kind;
  } catch (cause) {
    if (!(cause instanceof BackplaneUnavailable)) throw cause;
    return 'unavailable';
  }
};

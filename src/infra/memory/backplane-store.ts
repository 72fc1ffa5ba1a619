/**
 * The backplane as a value: everything the units of one application share, and the pure rules by which it changes.
 * `step(store, seat, request, now)` answers one request of one unit; `now` is the store's clock. The scripts of the Redis adapter
 * follow the same rules in the same order, and one contract suite holds both to them.
 *
 * Rules: a repeated write is recognised before anything else and does nothing more; then the fence (epoch and nonce of an unexpired
 * lease that nothing newer has overtaken); then whether the object moved since this unit last saw it. Epochs only rise: above
 * everything the store or the asking unit has seen.
 */
import type { FleetSpec, Published, Verdict } from '../../actors/model/fleet-spec.ts';
import type { Generation, Millis, Nonce, RelationId, UnitName, WallMs } from '../../actors/model/ids.ts';
import type { Intent } from '../../actors/model/intent.ts';
import type { Leadership } from '../../actors/model/leadership.ts';
import type { RelationRecord, UnitBag } from '../../actors/model/snapshot.ts';
import type {
  AcquireResult,
  Observation,
  PublishResult,
  RenewResult,
  WriteResult,
} from '../../actors/ports/backplane.ts';

export interface Lease {
  readonly epoch: number;
  readonly holder: UnitName | null;
  readonly nonce: Nonce | null;
  readonly expiresAt: number;
  readonly successor: UnitName | null;
  readonly reservedUntil: number;
}

/** An object with who wrote it: enough to recognise the same write again. */
export interface Kept<T> {
  readonly value: T;
  readonly version: number;
  readonly epoch: number;
  readonly nonce: Nonce | null;
}

export interface Member {
  readonly nonce: Nonce;
  readonly boot: number;
  readonly instances: number;
  readonly down: boolean;
  readonly heardAt: number;
}

export interface MemoryStore {
  /** A unit that was silent for longer counts as silent. */
  readonly deadAfterMs: number;
  /** +1 with each change that others must hear of; heartbeats and renewals are none. */
  readonly revision: number;
  readonly floor: number;
  readonly lease: Lease;
  readonly intent: Kept<Intent> | null;
  /** Newest last; the last ones are kept. */
  readonly generations: readonly Kept<Published>[];
  readonly verdict: Kept<Verdict> | null;
  readonly relations: ReadonlyMap<RelationId, Kept<RelationRecord>>;
  readonly members: ReadonlyMap<UnitName, Member>;
  readonly bags: ReadonlyMap<UnitName, UnitBag>;
}

/** One unit's side of the talk: who it is, and what it saw last (writes are judged against that). */
export interface Seat {
  readonly unit: UnitName;
  readonly nonce: Nonce;
  /** +1 with each start of the unit: a restarted unit replaces its earlier life at once. */
  readonly boot: number;
  readonly instances: number;
  /** Highest epoch this unit ever accepted, across its lives. */
  readonly epoch: number;
  readonly seen: Seen;
  readonly left: boolean;
}

/** Versions as last seen; what is absent was not there. */
export interface Seen {
  readonly intent: number;
  readonly verdict: number;
  readonly relations: ReadonlyMap<RelationId, number>;
}

export interface Requests {
  readonly observe: object;
  readonly acquireLease: { readonly ttl: Millis };
  readonly renewLease: { readonly leadership: Leadership; readonly ttl: Millis };
  readonly releaseLease: {
    readonly leadership: Leadership;
    readonly successor: UnitName | null;
    readonly reserve: Millis;
  };
  readonly changeIntent: { readonly next: Intent };
  readonly publish: {
    readonly leadership: Leadership;
    readonly after: Generation;
    readonly spec: FleetSpec;
    readonly about: { readonly intentVersion: number; readonly reason: string };
    readonly at: WallMs;
  };
  readonly judge: { readonly leadership: Leadership; readonly verdict: Verdict };
  readonly writeRelation: { readonly leadership: Leadership; readonly record: RelationRecord };
  readonly removeRelation: { readonly leadership: Leadership; readonly id: RelationId };
  readonly removeUnit: { readonly leadership: Leadership; readonly unit: UnitName };
  readonly writeBag: { readonly bag: UnitBag };
  readonly leave: { readonly how: 'down' | 'departed' };
}

export interface Replies {
  readonly observe: Observation;
  readonly acquireLease: AcquireResult;
  readonly renewLease: RenewResult;
  readonly releaseLease: { readonly kind: 'released' };
  readonly changeIntent: WriteResult;
  readonly publish: PublishResult;
  readonly judge: WriteResult;
  readonly writeRelation: WriteResult;
  readonly removeRelation: WriteResult;
  readonly removeUnit: WriteResult;
  readonly writeBag: WriteResult;
  readonly leave: { readonly kind: 'left' };
}

export type Kind = keyof Requests;
export type Request<K extends Kind = Kind> = { readonly [T in K]: { readonly type: T } & Requests[T] }[K];
export interface Stepped<R> {
  readonly store: MemoryStore;
  readonly seat: Seat;
  readonly reply: R;
}

const defaultDeadAfterMs = 4_000;

export const emptyStore = (deadAfterMs = defaultDeadAfterMs): MemoryStore => ({
  deadAfterMs,
  revision: 0,
  floor: 0,
  lease: { epoch: 0, holder: null, nonce: null, expiresAt: 0, successor: null, reservedUntil: 0 },
  intent: null,
  generations: [],
  verdict: null,
  relations: new Map(),
  members: new Map(),
  bags: new Map(),
});

export const seatOf = (
  who: Pick<Seat, 'unit' | 'nonce' | 'boot' | 'instances'> & { readonly epoch?: number },
): Seat => ({
  epoch: 0,
  seen: { intent: 0, verdict: 0, relations: new Map() },
  left: false,
  ...who,
});

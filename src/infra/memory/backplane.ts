import type { FleetSpec, Verdict } from '../../actors/model/fleet-spec.ts';
import type { Epoch, Generation, Millis, Nonce, RelationId, UnitName } from '../../actors/model/ids.ts';
import type { Intent } from '../../actors/model/intent.ts';
import type { Leadership } from '../../actors/model/leadership.ts';
import type { Memory, RelationRecord, UnitBag } from '../../actors/model/snapshot.ts';
import {
  type AcquireResult,
  type Backplane,
  BackplaneUnavailable,
  type Observation,
  type PublishResult,
  type Recalled,
  type RenewResult,
  type WriteResult,
} from '../../actors/ports/backplane.ts';
import type { Clock } from '../../actors/ports/clock.ts';
import type { Claimed } from '../files/number-claim.ts';
import { claimNumber } from './backplane-members.ts';
import { step } from './backplane-step.ts';
import {
  emptyStore,
  type Kind,
  type MemoryStore,
  type Replies,
  type Request,
  type Seat,
  seatOf,
} from './backplane-store.ts';

/** The store that units of one process share, with a switch that makes it unreachable. */
export class MemoryHub {
  readonly clock: Clock;
  #store: MemoryStore;
  #away = 0;
  readonly #listeners = new Set<() => void>();

  constructor(clock: Clock, store: MemoryStore = emptyStore()) {
    this.clock = clock;
    this.#store = store;
  }

  get store(): MemoryStore {
    return this.#store;
  }

  /** Unreachable until disposed; then everybody is hinted, as after a reconnect. */
  interrupt(): Disposable {
    this.#away += 1;
    return {
      [Symbol.dispose]: () => {
        this.#away -= 1;
        this.#hint();
      },
    };
  }

  ask<K extends Kind>(seat: Seat, request: Request<K>): { readonly seat: Seat; readonly reply: Replies[K] } {
    this.#reach(request.type);
    const { store, ...answer } = step(this.#store, seat, request, this.clock.now());
    this.#change(store);
    return answer;
  }

  claim(ask: Parameters<typeof claimNumber>[1]): Claimed {
    this.#reach('claim a number');
    const [store, claimed] = claimNumber(this.#store, ask, this.clock.now());
    this.#change(store);
    return claimed;
  }

  onHint(hint: () => void): Disposable {
    this.#listeners.add(hint);
    return { [Symbol.dispose]: () => this.#listeners.delete(hint) };
  }

  #reach(operation: string): void {
    if (this.#away > 0) throw new BackplaneUnavailable(`cannot ${worded(operation)}: the store is interrupted`);
  }

  #change(store: MemoryStore): void {
    const moved = store.revision !== this.#store.revision;
    this.#store = store;
    if (moved) this.#hint();
  }

  /** After the answer, never inside the call that caused it. */
  #hint(): void {
    for (const listener of this.#listeners) queueMicrotask(() => this.#listeners.has(listener) && listener());
  }
}

/** What of it all outlives the unit's process. */
export interface Keeper {
  /** Starts of the unit so far, this one included. */
  readonly boot: number;
  /** Highest epoch ever accepted. */
  readonly epoch: number;
  recall(): Promise<Recalled>;
  remember(memory: Memory): Promise<void>;
  /** Told nothing before this resolves; rejects when it cannot be kept. */
  keep(store: MemoryStore): Promise<void>;
  /** Another process works on the same state. */
  isTakenOver(): Promise<boolean>;
}

export interface MemoryBackplaneOptions {
  readonly hub: MemoryHub;
  readonly unit: UnitName;
  readonly instances: number;
  readonly nonce: Nonce;
  readonly keeper: Keeper;
}

export const openMemoryBackplane = (options: MemoryBackplaneOptions): MemoryBackplane => new MemoryBackplane(options);

/** The port over a store in this process: one unit of a fleet in tests, or, with a keeper on disk, a unit that runs alone. */
export class MemoryBackplane implements Backplane {
  readonly unit: UnitName;
  readonly nonce: Nonce;
  readonly #hub: MemoryHub;
  readonly #keeper: Keeper;
  #seat: Seat;

  constructor({ hub, unit, instances, nonce, keeper }: MemoryBackplaneOptions) {
    this.unit = unit;
    this.nonce = nonce;
    this.#hub = hub;
    this.#keeper = keeper;
    this.#seat = seatOf({ unit, nonce, instances, boot: keeper.boot, epoch: keeper.epoch });
  }

  recall(): Promise<Recalled> {
    return this.#keeper.recall();
  }

  async remember(memory: Memory): Promise<void> {
    await this.#kept('remember', this.#keeper.remember(memory));
  }

  async observe(): Promise<Observation> {
    if (await this.#kept('observe', this.#keeper.isTakenOver())) {
      const reason = `another process was started for ${this.unit} on the same state directory: stop one of the two`;
      return { kind: 'refused', reason };
    }
    return this.#ask({ type: 'observe' });
  }

  acquireLease(ttl: Millis): Promise<AcquireResult> {
    return this.#ask({ type: 'acquireLease', ttl });
  }

  renewLease(leadership: Leadership, ttl: Millis): Promise<RenewResult> {
    return this.#ask({ type: 'renewLease', leadership, ttl });
  }

  async releaseLease(leadership: Leadership, successor: UnitName | null, reserve: Millis): Promise<void> {
    await this.#ask({ type: 'releaseLease', leadership, successor, reserve });
  }

  changeIntent(next: Intent): Promise<WriteResult> {
    return this.#ask({ type: 'changeIntent', next });
  }

  publish(
    leadership: Leadership,
    after: Generation,
    spec: FleetSpec,
    about: { readonly intentVersion: number; readonly reason: string },
  ): Promise<PublishResult> {
    return this.#ask({ type: 'publish', leadership, after, spec, about, at: this.#hub.clock.wall() });
  }

  judge(leadership: Leadership, verdict: Verdict): Promise<WriteResult> {
    return this.#ask({ type: 'judge', leadership, verdict });
  }

  writeRelation(leadership: Leadership, record: RelationRecord): Promise<WriteResult> {
    return this.#ask({ type: 'writeRelation', leadership, record });
  }

  removeRelation(leadership: Leadership, id: RelationId): Promise<WriteResult> {
    return this.#ask({ type: 'removeRelation', leadership, id });
  }

  removeUnit(leadership: Leadership, unit: UnitName): Promise<WriteResult> {
    return this.#ask({ type: 'removeUnit', leadership, unit });
  }

  writeBag(bag: UnitBag): Promise<WriteResult> {
    return this.#ask({ type: 'writeBag', bag });
  }

  async leave(how: 'down' | 'departed'): Promise<void> {
    await this.#ask({ type: 'leave', how });
  }

  onHint(hint: () => void): Disposable {
    return this.#hub.onHint(hint);
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #ask<K extends Kind>(request: Request<K>): Promise<Replies[K]> {
    const { seat, reply } = this.#hub.ask(this.#seat, request);
    this.#seat = seat;
    await this.#kept(request.type, this.#keeper.keep(this.#hub.store));
    return reply;
  }

  async #kept<T>(operation: string, keeping: Promise<T>): Promise<T> {
    try {
      return await keeping;
    } catch (cause) {
      throw new BackplaneUnavailable(`cannot ${worded(operation)} as ${this.unit}: ${reasonOf(cause)}`, { cause });
    }
  }
}

/** `changeIntent` → `change intent`. */
const worded = (operation: string): string => operation.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

/** Keeps in memory: what a unit of a test has after a restart. */
export class MemoryKeeper implements Keeper {
  boot = 0;
  epoch = 0;
  #recalled: Recalled = {
    memory: { verified: null, waits: [] },
    intent: null,
    published: null,
    epoch: 0 as Epoch,
    losses: [],
  };

  /** Called for each new process of the unit. */
  started(): this {
    this.boot += 1;
    return this;
  }
  async recall(): Promise<Recalled> {
    return this.#recalled;
  }
  async remember(memory: Memory): Promise<void> {
    this.#recalled = { ...this.#recalled, memory };
  }
  async keep({ intent, generations, lease, floor }: MemoryStore): Promise<void> {
    this.epoch = Math.max(this.epoch, lease.epoch, floor);
    this.#recalled = {
      ...this.#recalled,
      intent: intent?.value ?? null,
      published: generations.at(-1)?.value ?? null,
      epoch: this.epoch as Epoch,
    };
  }
  async isTakenOver(): Promise<boolean> {
    return false;
  }
}

/**
 * The backplane of a charm: what the units of an application share lies in the peer relation, what they ask for in options and
 * relations, what a unit keeps for itself in charm state. It lives for one dispatch. Everything is read once, when it is first
 * needed; everything written is collected, seen by later readings of the same dispatch, and handed to Juju by `flush`, which stores
 * it when the dispatch ends well, or drops all of it. So each write is answered `staged`.
 */
import type { FleetSpec, Published, Verdict } from '../../../actors/model/fleet-spec.ts';
import type { Epoch, Generation, Millis, Nonce, RelationId, UnitName } from '../../../actors/model/ids.ts';
import type { Intent } from '../../../actors/model/intent.ts';
import type { Leadership } from '../../../actors/model/leadership.ts';
import { same } from '../../../actors/model/same.ts';
import type { DamagedObject, Memory, RelationRecord, Snapshot, UnitBag } from '../../../actors/model/snapshot.ts';
import {
  type AcquireResult,
  type Backplane,
  BackplaneUnavailable,
  type Observation,
  type PublishResult,
  type Recalled,
  type RenewResult,
  type WriteResult,
} from '../../../actors/ports/backplane.ts';
import { digestOfSpec } from '../../files/canonical.ts';
import { keyLabel } from '../fleet-key.ts';
import { type Desk, lostOf, withoutSecrets } from './desk.ts';
import { flushDesk, flushState, type Kept } from './flush.ts';
import { endlessMs, nextEpoch } from './lease.ts';
import type { Shared } from './peer-data.ts';
import { snapshotOf } from './snapshot.ts';
import type { UnitView } from './unit-view.ts';

export class JujuBackplane implements Backplane {
  readonly unit: UnitName;
  readonly nonce: Nonce;
  readonly #view: UnitView;
  #snapshot: Snapshot | null = null;
  #memory: Memory | null = null;
  #acquired: Epoch | null = null;
  #publishedHere: readonly Published[] = [];
  #hasJoined = false;
  #left = false;
  readonly #listeners = new Set<() => void>();

  constructor(view: UnitView) {
    this.unit = view.options.unit;
    this.nonce = view.nonce;
    this.#view = view;
  }

  async recall(): Promise<Recalled> {
    const { state, losses } = await this.#view.reading.state();
    const desk = await this.#view.deskIfAny();
    const published = desk?.then.published ?? null;
    const { verified, waits } = state.memory;
    const isSame =
      published !== null && verified?.generation === published.generation && verified.digest === published.digest;
    return {
      memory: { verified: isSame ? published : null, waits },
      intent: desk?.then.intent ?? null,
      published,
      epoch: Math.max(state.epoch, desk?.then.lease?.epoch ?? 0) as Epoch,
      losses,
    };
  }

  async remember(memory: Memory): Promise<void> {
    this.#memory = memory;
  }

  async observe(): Promise<Observation> {
    if (this.#left) return { kind: 'refused', reason: `${this.unit} has left the fleet` };
    if (!this.#view.options.features.secrets) return { kind: 'refused', reason: withoutSecrets };
    const desk = await this.#view.desk();
    if (desk.then.otherKey !== null) return { kind: 'refused', reason: keyIsGone };
    const lost = lostOf(desk.then);
    if (lost !== null) return { kind: 'refused', reason: damagedSentence(lost) };
    this.#hasJoined = true;
    this.#snapshot ??= snapshotOf(desk, this.unit);
    return { kind: 'observed', snapshot: this.#snapshot };
  }

  async acquireLease(_ttl: Millis): Promise<AcquireResult> {
    const desk = await this.#view.desk();
    const { lease } = desk.now;
    if (!this.#hasJoined || !(await this.#isLeader(desk)))
      return { kind: 'held', by: lease?.holder ?? this.unit, freeInMs: endlessMs };
    if (this.#acquired === null) {
      const isOurs =
        lease !== null && (desk.isLast || (lease.holder === this.unit && !this.#view.options.occasion.leaderElected));
      const { state } = await this.#view.reading.state();
      this.#acquired = isOurs ? lease.epoch : nextEpoch(lease, state.epoch, this.#view.options.clock.wall());
      if (!isOurs) this.#change(desk, { lease: { holder: this.unit, epoch: this.#acquired } });
    }
    return { kind: 'granted', epoch: this.#acquired };
  }

  async renewLease(leadership: Leadership, _ttl: Millis): Promise<RenewResult> {
    return { kind: (await this.#mayLead(leadership)) === null ? 'lost' : 'renewed' };
  }

  /** Juju hands leadership on by itself. */
  async releaseLease(): Promise<void> {}

  async changeIntent(_next: Intent): Promise<WriteResult> {
    throw new BackplaneUnavailable(
      'cannot change what the operator asks for: options and relations belong to Juju, use juju config and juju integrate',
    );
  }

  async publish(
    leadership: Leadership,
    after: Generation,
    spec: FleetSpec,
    { intentVersion, reason }: { readonly intentVersion: number; readonly reason: string },
  ): Promise<PublishResult> {
    const desk = await this.#mayLead(leadership);
    if (desk === null) return { kind: 'fenced' };
    const digest = digestOfSpec(spec);
    const again = this.#publishedHere.find((one) => one.generation === after + 1 && one.digest === digest);
    if (again !== undefined) return { kind: 'staged', published: again };
    if ((desk.now.published?.generation ?? 0) !== after) return { kind: 'conflict' };
    const published: Published = {
      generation: (after + 1) as Generation,
      epoch: leadership.epoch,
      digest,
      author: this.unit,
      reason,
      at: this.#view.options.clock.wall(),
      intentVersion,
      spec,
    };
    this.#publishedHere = [...this.#publishedHere, published];
    this.#change(desk, { published });
    return { kind: 'staged', published };
  }

  judge(leadership: Leadership, verdict: Verdict): Promise<WriteResult> {
    return this.#write(leadership, (desk) => (same(desk.now.verdict, verdict) ? null : { verdict }));
  }

  writeRelation(leadership: Leadership, record: RelationRecord): Promise<WriteResult> {
    return this.#write(leadership, ({ now: { records } }) =>
      same(records.get(record.id), record) ? null : { records: new Map(records).set(record.id, record) },
    );
  }

  removeRelation(leadership: Leadership, id: RelationId): Promise<WriteResult> {
    return this.#write(leadership, ({ now: { records } }) =>
      records.has(id) ? { records: new Map([...records].filter(([one]) => one !== id)) } : null,
    );
  }

  /** Units come and go by Juju: one that it still shows is not taken off. */
  async removeUnit(leadership: Leadership, unit: UnitName): Promise<WriteResult> {
    const desk = await this.#mayLead(leadership);
    if (desk === null) return { kind: 'fenced' };
    return { kind: desk.others.has(unit) ? 'conflict' : 'staged' };
  }

  async writeBag(bag: UnitBag): Promise<WriteResult> {
    if (!this.#hasJoined || this.#left) return { kind: 'conflict' };
    const desk = await this.#view.desk();
    if (desk.bagDamage === null && same(desk.bag, bag)) return { kind: 'staged' };
    desk.bag = bag;
    desk.bagDamage = null;
    this.#changed();
    return { kind: 'staged' };
  }

  async leave(how: 'down' | 'departed'): Promise<void> {
    this.#left = how === 'departed';
    const desk = await this.#view.deskIfAny();
    if (desk === null) return;
    desk.member = { ...desk.member, down: true };
    this.#changed();
  }

  onHint(hint: () => void): Disposable {
    this.#listeners.add(hint);
    return { [Symbol.dispose]: () => this.#listeners.delete(hint) };
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** Hands Juju everything that differs, when the dispatch ends well. */
  async flush(kept: Kept = {}): Promise<void> {
    const { options, reading } = this.#view;
    const desk = await this.#view.deskIfAny();
    if (desk !== null) await flushDesk(options, reading, desk, this.#left);
    await flushState(options, reading, desk, { memory: this.#memory, kept });
  }

  /** The desk, when this leadership is ours and Juju has not taken it back. */
  async #mayLead({ epoch, nonce }: Leadership): Promise<Desk | null> {
    const desk = await this.#view.desk();
    const isOurs = epoch === this.#acquired && nonce === (await this.#view.leaderNonce());
    return isOurs && (await this.#isLeader(desk)) ? desk : null;
  }

  async #isLeader({ leads, isLast }: Desk): Promise<boolean> {
    return leads && (isLast || (await this.#view.reading.leads()));
  }

  async #write(leadership: Leadership, changeOf: (desk: Desk) => Partial<Shared> | null): Promise<WriteResult> {
    const desk = await this.#mayLead(leadership);
    if (desk === null) return { kind: 'fenced' };
    const change = changeOf(desk);
    if (change !== null) this.#change(desk, change);
    return { kind: 'staged' };
  }

  #change(desk: Desk, change: Partial<Shared>): void {
    desk.now = { ...desk.now, ...change };
    this.#changed();
  }

  #changed(): void {
    this.#snapshot = null;
    for (const listener of this.#listeners) queueMicrotask(() => this.#listeners.has(listener) && listener());
  }
}

const damagedSentence = ({ object, reason }: DamagedObject): string =>
  `the key ${object} of the peer relation cannot be read (${reason}): somebody else than this charm has written it; remove the application and deploy it anew, or restore the model from a backup`;

const keyIsGone = `the Juju secret "${keyLabel}" of this application was removed or replaced, and what the fleet shares is sealed with it: without the one that was, remove the application and deploy it anew`;

/**
 * Reads the store for one unit: one call per beat that says "we live" and tells what changed, and only then one more for the
 * changed objects. Joins when the unit is not a member, hands the store back what it lost, and never goes back behind the ledger:
 * neither in epochs (at most one holder for each) nor in objects.
 *
 * Recovery, as far as it goes: an empty store is given what this unit's ledger holds, a store that lost or went back is offered what
 * we know better, and the newest by (epoch, version) wins in any order of offers; an unknown life of the store proves no absence.
 * Epochs go on above everything that any unit has seen, because each beat and each claim of the lease carries the highest one.
 * The barrier that makes a new leader wait for all offers comes with it later; until then a unit that offers late still wins.
 */
import type { Epoch, Nonce, UnitName } from '../../actors/model/ids.ts';
import { unitNumberOf } from '../../actors/model/ids.ts';
import type { LeaseView, Snapshot, UnitRecord } from '../../actors/model/snapshot.ts';
import { BackplaneUnavailable, type Observation } from '../../actors/ports/backplane.ts';
import type { Clock } from '../../actors/ports/clock.ts';
import type { Sealer } from '../files/codec.ts';
import type { FolderHold } from '../files/folder-hold.ts';
import type { Ledger, Position } from '../files/ledger.ts';
import type { Log } from '../files/log.ts';
import type { ObjectName } from '../files/stored-object.ts';
import type { Connection } from './connection.ts';
import { give, look, random } from './entrance.ts';
import { isObject, isUnitObject, type Keys } from './keys.ts';
import type { Mirror } from './mirror.ts';
import { beat, join, type MemberEntry, type ReadObject, readObjects } from './scripts.ts';

export interface Post {
  readonly connection: Connection;
  readonly keys: Keys;
  readonly sealer: Sealer;
  readonly ledger: Ledger;
  readonly hold: FolderHold;
  readonly mirror: Mirror;
  readonly clock: Clock;
  readonly log: Log;
  readonly unit: UnitName;
  readonly nonce: Nonce;
  readonly instances: number;
  readonly deadAfterMs: number;
}

type Beat = Extract<Awaited<ReturnType<typeof beat>>, { readonly kind: 'BEAT' }>;
type Round =
  | { readonly kind: 'again' }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'read'; readonly beat: Beat };
const again: Round = { kind: 'again' };

export class Reader {
  readonly #post: Post;
  /** Up to where the mirror follows the store; the beginning of a process knows it from the ledger. */
  #position: Position | null;
  /** Everything must be compared once, not only what changed. */
  #resync = true;
  #resyncedAt = Number.NEGATIVE_INFINITY;
  #turn = 0;
  /** Life of the store in which this process is a member. */
  #joined: string | null = null;
  /** The store was sealed with another key: nothing of ours goes there until it opens. */
  #turnedAway: string | null = null;
  #left = false;
  /** Raises the floor of the store above an epoch that two holders claim. */
  #above = 0;
  #members: ReadonlyMap<UnitName, MemberEntry> = new Map();

  constructor(post: Post) {
    this.#post = post;
    this.#position = post.ledger.content.position;
  }

  /** Highest epoch that this unit knows of. */
  get seenEpoch(): number {
    return Math.max(this.#post.ledger.content.epoch, this.#above);
  }
  get rosterSize(): number {
    return this.#members.size;
  }

  /** The next reading compares everything. */
  doubt(): void {
    this.#resync = true;
  }

  departed(): void {
    this.#left = true;
  }

  async observe(): Promise<Observation> {
    for (let left = maxRounds; left > 0; left -= 1) {
      const round = await this.#round(left === 1);
      if (round.kind === 'refused') return round;
      if (round.kind === 'read') {
        const lease = this.#leaseOf(round.beat.lease);
        await this.keep();
        const lost = this.#lost();
        if (lost !== null) return { kind: 'refused', reason: lost };
        return { kind: 'observed', snapshot: this.#snapshot(lease, round.beat.silent) };
      }
    }
    throw new BackplaneUnavailable('cannot observe: the store changes faster than it can be read');
  }

  /** Without one of these nobody can decide anything, and what this unit would make of its absence would be wrong. */
  #lost(): string | null {
    const { mirror, keys } = this.#post;
    const name = (['intent', 'gen', 'verdict'] as const).find((one) => mirror.isLost(one));
    if (name === undefined) return null;
    const reason = mirror.damaged.find(({ object }) => object === name)?.reason ?? '';
    return `the object ${name === 'gen' ? keys.gen : keys[name]} of the store cannot be read (${reason}): units that know an earlier version go on, restore it from a backup of the store, or make any change through one of them, which writes it anew`;
  }

  /** Into the ledger, before anything is told. */
  async keep(): Promise<void> {
    const { ledger, mirror } = this.#post;
    const { position, objects } = ledger.content;
    if (objects === mirror.objects && position?.life === this.#position?.life) return ledger.keep((content) => content);
    await ledger.keep((content) => ({ ...content, position: this.#position, objects: mirror.objects }));
  }

  async accept(epoch: number, holder: Nonce | null): Promise<void> {
    this.#note(epoch, holder);
    await this.keep();
  }

  async #round(last: boolean): Promise<Round> {
    const { connection, keys, unit, nonce, mirror, clock } = this.#post;
    const { refusal, turn } = connection;
    if (refusal !== null) return { kind: 'refused', reason: refusal };
    if (turn !== this.#turn || clock.now() - this.#resyncedAt > fullEveryMs) this.#resync = true;
    this.#turn = turn;
    if (this.#joined === null) {
      const entered = await this.#enter();
      if (entered !== null) return entered;
    }
    const since = this.#position;
    const from = since === null || this.#resync ? ['', '', ''] : [since.life, since.revision, since.tag];
    const told = await beat(
      connection,
      [keys.meta, keys.lease, keys.idx, keys.members, keys.hb, keys.gen],
      [unit, nonce, this.seenEpoch, ...from],
    );
    if (told.kind !== 'BEAT' || told.position.life !== this.#joined) return this.#outside();
    const read = await this.#read(told);
    if (read === 'moved') return again;
    const behind = mirror.absorb(read.objects, wentBack(since, told.position));
    if (told.all || told.changed.includes('members')) this.#members = told.members;
    if (told.all) this.#resyncedAt = clock.now();
    this.#position = told.position;
    this.#resync = false;
    if (behind.length > 0) await this.#offer(new Set<string>(behind));
    return !last && (behind.length > 0 || !read.settled) ? again : { kind: 'read', beat: told };
  }

  /** The membership is gone: the store was emptied, or another process has taken the name. */
  #outside(): Round {
    this.#joined = null;
    return again;
  }

  /** Null when this process is a member now. */
  async #enter(): Promise<Round | null> {
    const { connection, keys, sealer, unit, nonce, ledger, instances, deadAfterMs } = this.#post;
    if (this.#left) return { kind: 'refused', reason: `${unit} has left the fleet` };
    const entrance = await look(connection, keys, sealer);
    if (entrance.kind === 'empty') {
      if (this.#turnedAway !== null) return { kind: 'refused', reason: this.#turnedAway };
      await this.#offer(null);
      return again;
    }
    this.#turnedAway = entrance.kind === 'closed' ? entrance.reason : null;
    if (entrance.kind === 'closed') return { kind: 'refused', reason: entrance.reason };
    const joined = await join(
      connection,
      [keys.meta, keys.lease, keys.idx, keys.members, keys.hb],
      [unit, nonce, ledger.content.boot, instances, deadAfterMs, random(), keys.all],
    );
    if (joined.kind === 'UNSEEDED') return again;
    if (joined.kind === 'DUPLICATE') {
      const reason = `another process runs as ${unit} (heard ${(joined.heardMsAgo / 1000).toFixed(1)} s ago): stop one of the two, or give this one another number`;
      return { kind: 'refused', reason };
    }
    this.#joined = entrance.life;
    return null;
  }

  /** Null: all that we have. */
  async #offer(names: ReadonlySet<string> | null): Promise<void> {
    const { connection, keys, sealer, mirror, log, unit } = this.#post;
    const objects = new Map([...mirror.objects].filter(([name]) => names === null || names.has(name)));
    if (objects.size > 0) {
      log.warn(
        { unit, objects: [...objects.keys()], epoch: this.seenEpoch },
        'the store has lost something: it is offered what this unit knows',
      );
    }
    await give(connection, keys, sealer, this.seenEpoch, objects);
  }

  /** All that changed, in as few calls as its number allows. `settled`: as of one moment (databags of others aside). */
  async #read(
    told: Beat,
  ): Promise<{ readonly objects: ReadonlyMap<ObjectName, ReadObject>; readonly settled: boolean } | 'moved'> {
    const { mirror } = this.#post;
    const objects = new Map<ObjectName, ReadObject>();
    const names = told.changed.filter(isObject);
    let settled = true;
    for (let at = 0; at < names.length; at += batchSize) {
      const batch = names.slice(at, at + batchSize);
      const reply = await this.#readBatch(batch, told);
      if (reply.kind === 'MOVED' || reply.objects.length !== batch.length) return 'moved';
      for (const [index, name] of batch.entries()) objects.set(name, reply.objects[index] ?? 'absent');
      settled = reply.changed.every(isUnitObject);
    }
    if (told.all) for (const name of mirror.missingFrom(new Set(told.changed))) objects.set(name, 'absent');
    return { objects, settled };
  }

  #readBatch(names: readonly ObjectName[], told: Beat): ReturnType<typeof readObjects> {
    const { connection, keys, mirror } = this.#post;
    const bodies = names.map((name) => keys.body(name, told.generation) ?? keys.meta);
    const digests = names.map((name) => mirror.shown(name).digest);
    return readObjects(
      connection,
      [keys.meta, keys.idx, ...bodies],
      [told.position.life, told.position.revision, ...digests],
    );
  }

  /** An epoch has one holder: the first that we heard of. */
  #leaseOf(lease: LeaseView): LeaseView {
    const { log, unit, ledger } = this.#post;
    const { epoch, holder } = ledger.content;
    const other = lease.epoch === epoch && lease.nonce !== null && holder !== null && lease.nonce !== holder;
    if (!other) {
      this.#note(lease.epoch, lease.nonce);
      return { ...lease, epoch: ledger.content.epoch as Epoch };
    }
    if (this.#above <= epoch) {
      log.error(
        { unit, epoch, holder: lease.holder },
        'two processes hold one epoch: the second is ignored, and a higher one is asked for',
      );
    }
    this.#above = epoch + 1;
    return { holder: null, nonce: null, epoch: epoch as Epoch, freeInMs: 0 };
  }

  #note(epoch: number, nonce: Nonce | null): void {
    const { ledger } = this.#post;
    const { content } = ledger;
    if (epoch < content.epoch) return;
    const holder = epoch > content.epoch ? nonce : (content.holder ?? nonce);
    if (epoch > content.epoch || holder !== content.holder) ledger.note({ epoch, holder });
  }

  #snapshot(lease: LeaseView, silent: ReadonlyMap<UnitName, number>): Snapshot {
    const { mirror, deadAfterMs } = this.#post;
    const units = [...this.#members].map(([unit, { nonce, instances, down }]): UnitRecord => {
      const silentMs = silent.get(unit) ?? deadAfterMs + 1;
      const presence = down ? 'down' : silentMs > deadAfterMs ? 'silent' : 'live';
      return { unit, instances, nonce, silentMs, presence, bag: mirror.bagOf(unit) };
    });
    const { intent, published, verdict, relations, damaged } = mirror;
    const sorted = units.toSorted((a, b) => unitNumberOf(a.unit) - unitNumberOf(b.unit));
    return { lease, intent, published, verdict, relations, damaged, units: sorted };
  }
}

/** The store is another one than we knew, or went back in time. */
const wentBack = (known: Position | null, found: Position): boolean =>
  known !== null &&
  (known.life !== found.life ||
    found.revision < known.revision ||
    (found.revision === known.revision && found.tag !== known.tag));

const maxRounds = 6;
const batchSize = 200;
/** Comparing everything now and then finds what a comparison of revisions cannot. */
const fullEveryMs = 10 * 60_000;

import type { FleetSpec, Published, Verdict } from '../../actors/model/fleet-spec.ts';
import type { Generation, Millis, Nonce, RelationId, UnitName } from '../../actors/model/ids.ts';
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
import { digestOfSpec, revealed } from '../files/canonical.ts';
import type { Codec } from '../files/codec.ts';
import { bagCodec, intentCodec, publishedCodec, relationCodec, verdictCodec } from '../files/domain-codecs.ts';
import {
  digestOf,
  type ObjectName,
  placeOf,
  relationObject,
  type StoredObject,
  unitObject,
} from '../files/stored-object.ts';
import { random } from './entrance.ts';
import type { HintLine } from './hint-line.ts';
import type { LeaderObject } from './mirror.ts';
import { type Post, Reader } from './reader.ts';
import * as scripts from './scripts.ts';

/**
 * The port on Redis. Every write is one script that checks its fence, recognises its own repetition by a request id made from its
 * arguments, and publishes the hint; what the store has taken is in the ledger before it is told.
 */
export class RedisBackplane implements Backplane {
  readonly unit: UnitName;
  readonly nonce: Nonce;
  readonly #post: Post;
  readonly #reader: Reader;
  readonly #hints: HintLine;
  #reading: Promise<unknown> = Promise.resolve();

  constructor(post: Post, hints: HintLine) {
    this.unit = post.unit;
    this.nonce = post.nonce;
    this.#post = post;
    this.#reader = new Reader(post);
    this.#hints = hints;
  }

  async recall(): Promise<Recalled> {
    return this.#post.ledger.recalled;
  }

  remember(memory: Memory): Promise<void> {
    return this.#keeping('remember', () => this.#post.ledger.remember(memory));
  }

  /** One reading at a time. */
  observe(): Promise<Observation> {
    const reading = this.#reading.then(() => {
      this.#hints.lookedAt();
      return this.#keeping('observe', () => this.#reader.observe());
    });
    this.#reading = reading.then(this.#listen, () => {});
    return reading;
  }

  async acquireLease(ttl: Millis): Promise<AcquireResult> {
    const { connection, keys } = this.#post;
    const reply = await scripts.acquireLease(
      connection,
      [keys.meta, keys.lease, keys.idx, keys.members],
      [this.unit, this.nonce, ttl, this.#reader.seenEpoch, random(), keys.all],
    );
    switch (reply.kind) {
      case 'GRANTED':
        await this.#keeping('acquire the lease', () => this.#reader.accept(reply.epoch, this.nonce));
        connection.listen(keys.lead);
        return { kind: 'granted', epoch: reply.epoch };
      case 'HELD':
        return { kind: 'held', by: reply.by, freeInMs: reply.freeInMs };
      case 'STRANGER':
        return { kind: 'held', by: this.unit, freeInMs: strangerRetryMs };
      case 'UNSEEDED':
        throw new BackplaneUnavailable(
          'cannot acquire the lease: the store is empty, and is filled with the next beat',
        );
    }
  }

  async renewLease({ epoch, nonce }: Leadership, ttl: Millis): Promise<RenewResult> {
    const { connection, keys } = this.#post;
    const { kind } = await scripts.renewLease(connection, [keys.meta, keys.lease], [nonce, epoch, ttl]);
    return { kind: kind === 'RENEWED' ? 'renewed' : 'lost' };
  }

  async releaseLease({ epoch, nonce }: Leadership, successor: UnitName | null, reserve: Millis): Promise<void> {
    const { connection, keys } = this.#post;
    const args = [nonce, epoch, successor ?? '', reserve, random(), keys.all];
    await scripts.releaseLease(connection, [keys.meta, keys.lease, keys.idx], args);
  }

  async changeIntent(next: Intent): Promise<WriteResult> {
    const { connection, keys, mirror } = this.#post;
    const object = this.#object('intent', intentCodec, next, { version: next.version, epoch: 0 }, next);
    const base = next.version - 1;
    const shown = mirror.shown('intent');
    const seen = shown.version === base ? shown.digest : base === 0 ? '' : 'never seen';
    const reply = await scripts.changeIntent(
      connection,
      [keys.meta, keys.idx, keys.intent],
      [base, seen, object.request, object.digest, object.body, random(), keys.all],
    );
    if (reply.kind === 'UNSEEDED') {
      throw new BackplaneUnavailable('cannot change the intent: the store is empty, and is filled with the next beat');
    }
    return this.#written('intent', reply, object);
  }

  async publish(
    leadership: Leadership,
    after: Generation,
    spec: FleetSpec,
    about: { readonly intentVersion: number; readonly reason: string },
  ): Promise<PublishResult> {
    const { connection, keys, clock, mirror } = this.#post;
    const { epoch, nonce, holder } = leadership;
    const generation = (after + 1) as Generation;
    const published: Published = {
      generation,
      epoch,
      digest: digestOfSpec(spec),
      author: holder,
      reason: about.reason,
      at: clock.wall(),
      intentVersion: about.intentVersion,
      spec,
    };
    const asked = { epoch, nonce, after, spec, about };
    const object = this.#object('gen', publishedCodec, published, { version: generation, epoch }, asked);
    const dropped = Math.max(1, generation - keptGenerations);
    const drops = generation > keptGenerations && mirror.verdict.good?.generation !== dropped;
    const reply = await scripts.publish(
      connection,
      [keys.meta, keys.lease, keys.idx, keys.gen, keys.generation(generation), keys.generation(dropped)],
      [nonce, epoch, after, object.request, object.digest, object.body, random(), keys.all, drops ? 1 : 0],
    );
    const { kind } = await this.#written('gen', reply, object);
    if (kind !== 'committed') return { kind: kind === 'fenced' ? kind : 'conflict' };
    return { kind, published: reply.kind === 'DUP' ? this.#publishedBefore(reply.object) : published };
  }

  judge(leadership: Leadership, verdict: Verdict): Promise<WriteResult> {
    return this.#write(leadership, 'verdict', verdictCodec, verdict);
  }

  writeRelation(leadership: Leadership, record: RelationRecord): Promise<WriteResult> {
    return this.#write(leadership, relationObject(record.id), relationCodec, record);
  }

  async removeRelation({ epoch, nonce }: Leadership, id: RelationId): Promise<WriteResult> {
    const { connection, keys, mirror } = this.#post;
    const name = relationObject(id);
    const { version, digest } = mirror.shown(name);
    const reply = await scripts.removeObject(
      connection,
      [keys.meta, keys.lease, keys.idx, keys.relation(id)],
      [nonce, epoch, name, version, digest, random(), keys.all],
    );
    if (reply.kind === 'OK' || reply.kind === 'GONE') mirror.removed(name);
    return this.#settled(reply.kind);
  }

  async removeUnit({ epoch, nonce }: Leadership, unit: UnitName): Promise<WriteResult> {
    const { connection, keys, deadAfterMs } = this.#post;
    const reply = await scripts.removeUnit(
      connection,
      [keys.meta, keys.lease, keys.idx, keys.members, keys.hb, keys.unit(unit)],
      [nonce, epoch, unit, deadAfterMs, random(), keys.all, unitObject(unit)],
    );
    return this.#settled(reply.kind);
  }

  async writeBag(bag: UnitBag): Promise<WriteResult> {
    const { connection, keys } = this.#post;
    const name = unitObject(this.unit);
    const { request, digest, body } = this.#object(name, bagCodec, bag, { version: 0, epoch: 0 }, bag);
    const reply = await scripts.writeBag(
      connection,
      [keys.meta, keys.idx, keys.members, keys.unit(this.unit)],
      [this.unit, this.nonce, name, request, digest, body, random(), keys.lead],
    );
    switch (reply.kind) {
      case 'OK':
      case 'DUP':
        return { kind: 'committed' };
      case 'SUPERSEDED':
        return { kind: 'fenced' };
      case 'STRANGER':
        return { kind: 'conflict' };
    }
  }

  async leave(how: 'down' | 'departed'): Promise<void> {
    const { connection, hold, keys } = this.#post;
    await hold.giveUp();
    if (how === 'departed') this.#reader.departed();
    await scripts.leave(
      connection,
      [keys.meta, keys.idx, keys.members, keys.hb, keys.unit(this.unit)],
      [this.unit, this.nonce, how, random(), keys.all, unitObject(this.unit)],
    );
  }

  onHint(hint: () => void): Disposable {
    return this.#hints.listen(hint);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#hints.end();
    this.#post.hold[Symbol.dispose]();
    this.#post.connection.close();
    await this.#reading;
  }

  async #write<T>(
    { epoch, nonce }: Leadership,
    name: Exclude<LeaderObject, 'intent' | 'gen'>,
    codec: Codec<T>,
    value: T,
  ): Promise<WriteResult> {
    const { connection, keys, mirror } = this.#post;
    const shown = mirror.shown(name);
    const object = this.#object(name, codec, value, { version: shown.version + 1, epoch }, { epoch, nonce, value });
    const key = name === 'verdict' ? keys.verdict : keys.body(name, 0);
    const reply = await scripts.writeObject(
      connection,
      [keys.meta, keys.lease, keys.idx, key ?? keys.verdict],
      [nonce, epoch, name, shown.version, shown.digest, object.request, object.digest, object.body, random(), keys.all],
    );
    return this.#written(name, reply, object);
  }

  /** `asked`: all that tells one write from another. */
  #object<T>(
    name: ObjectName,
    codec: Codec<T>,
    value: T,
    { version, epoch }: Pick<StoredObject, 'version' | 'epoch'>,
    asked: unknown,
  ): StoredObject {
    const { sealer } = this.#post;
    const body = codec.encode(sealer, placeOf(name, { version }), value);
    if (body.length > codec.maxLength) {
      throw new BackplaneUnavailable(
        `cannot write ${name}: it has ${body.length} characters, more than the ${codec.maxLength} that units read`,
      );
    }
    return { version, epoch, digest: digestOf(body), request: sealer.key.fingerprint(revealed(asked)), body };
  }

  async #written(name: LeaderObject, reply: scripts.WriteReply, object: StoredObject): Promise<WriteResult> {
    if (reply.kind === 'OK') this.#post.mirror.wrote(name, object);
    if (reply.kind === 'DUP') this.#post.mirror.wrote(name, reply.object);
    return this.#settled(reply.kind);
  }

  async #settled(kind: scripts.WriteReply['kind'] | 'GONE'): Promise<WriteResult> {
    switch (kind) {
      case 'OK':
      case 'DUP':
      case 'GONE':
        await this.#keeping('keep what was written', () => this.#reader.keep());
        return { kind: 'committed' };
      case 'FENCED':
      case 'UNSEEDED': // With the store's data went the lease.
        return { kind: 'fenced' };
      case 'CONFLICT':
        this.#reader.doubt();
        return { kind: 'conflict' };
    }
  }

  #publishedBefore(object: StoredObject): Published {
    const decoded = publishedCodec.decode(this.#post.sealer, placeOf('gen', object), object.body);
    if (decoded.kind === 'decoded') return decoded.value;
    throw new BackplaneUnavailable('cannot publish: the generation that was stored before cannot be read');
  }

  /** Databags matter to the leader at once; in a small fleet to everybody, and there the messages are few. */
  #listen = (observation: Observation): void => {
    const { connection, keys } = this.#post;
    if (observation.kind !== 'observed') return;
    const leads = observation.snapshot.lease.nonce === this.nonce;
    if (leads || this.#reader.rosterSize <= everybodyHearsUpTo) connection.listen(keys.lead);
    else void connection.stopListening(keys.lead);
  };

  /** A ledger that cannot be written is as good as no store: nothing may be told that is not kept. */
  async #keeping<T>(operation: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      if (cause instanceof BackplaneUnavailable) throw cause;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new BackplaneUnavailable(`cannot ${operation} as ${this.unit}: ${reason}`, { cause });
    }
  }
}

const keptGenerations = 50;
const everybodyHearsUpTo = 10;
/** Who is not in the roster (yet) looks again after about one heartbeat. */
const strangerRetryMs = 1_000;

/**
 * The backplane of a unit that runs alone: the shared store is a value in this process, and what of it must last lies in the unit's
 * ledger, secrets sealed, written before anything is told. Heartbeats and renewals are not written; a lease does not outlive its
 * process, but its epoch does. A second process on the same directory counts a later start, and the first one is refused from then on.
 */
import { randomBytes } from 'node:crypto';
import { type Application, type Nonce, unitNameOf } from '../../actors/model/ids.ts';
import type { Memory, RelationRecord } from '../../actors/model/snapshot.ts';
import type { Recalled } from '../../actors/ports/backplane.ts';
import type { Clock } from '../../actors/ports/clock.ts';
import type { Codec, Sealer } from '../files/codec.ts';
import { intentCodec, publishedCodec, relationCodec, verdictCodec } from '../files/domain-codecs.ts';
import { Ledger, unitDirectory } from '../files/ledger.ts';
import type { Log } from '../files/log.ts';
import type { SealKey } from '../files/seal.ts';
import {
  digestOf,
  isRelation,
  type ObjectName,
  placeOf,
  relationObject,
  type StoredObject,
} from '../files/stored-object.ts';
import { type Keeper, MemoryBackplane, MemoryHub } from './backplane.ts';
import { emptyStore, type Kept, type MemoryStore } from './backplane-store.ts';

export interface EmbeddedBackplaneOptions {
  readonly application: Application;
  readonly number: number;
  readonly instances: number;
  /** Root of the units' directories. */
  readonly stateDir: string;
  readonly sealKey: SealKey;
  readonly clock: Clock;
  readonly log: Log;
}

export const openEmbeddedBackplane = async (options: EmbeddedBackplaneOptions): Promise<MemoryBackplane> => {
  const { application, number, instances, stateDir, clock, log } = options;
  const unit = unitNameOf(application, number);
  const sealer = { key: options.sealKey, application };
  const ledger = await Ledger.open({ directory: unitDirectory(stateDir, unit), unit, sealer, log });
  const store = storeFrom(ledger, sealer);
  const keeper = new LedgerKeeper(ledger, sealer, store);
  const nonce = randomBytes(16).toString('hex') as Nonce;
  return new MemoryBackplane({ hub: new MemoryHub(clock, store), unit, instances, nonce, keeper });
};

class LedgerKeeper implements Keeper {
  readonly #ledger: Ledger;
  readonly #sealer: Sealer;
  /** What the ledger holds of the store. */
  #kept: MemoryStore;

  constructor(ledger: Ledger, sealer: Sealer, store: MemoryStore) {
    this.#ledger = ledger;
    this.#sealer = sealer;
    this.#kept = store;
  }

  get boot(): number {
    return this.#ledger.content.boot;
  }
  get epoch(): number {
    return this.#ledger.content.epoch;
  }

  async recall(): Promise<Recalled> {
    return this.#ledger.recalled;
  }

  remember(memory: Memory): Promise<void> {
    return this.#ledger.remember(memory);
  }

  async keep(store: MemoryStore): Promise<void> {
    if (lasts(store, this.#kept)) return;
    if (await this.isTakenOver()) throw new Error('another process was started on the same state directory');
    const before = this.#kept;
    await this.#ledger.keep((content) => ({
      ...content,
      epoch: Math.max(content.epoch, store.lease.epoch, store.floor),
      holder: store.lease.nonce,
      objects: objectsOf(store, before, content.objects, this.#sealer),
    }));
    this.#kept = store;
  }

  isTakenOver(): Promise<boolean> {
    return this.#ledger.isTakenOver();
  }
}

/** Nothing that must outlive the process differs. */
const lasts = (a: MemoryStore, b: MemoryStore): boolean =>
  a.intent === b.intent &&
  a.generations === b.generations &&
  a.verdict === b.verdict &&
  a.relations === b.relations &&
  a.floor === b.floor &&
  a.lease.epoch === b.lease.epoch;

const objectsOf = (
  store: MemoryStore,
  before: MemoryStore,
  kept: ReadonlyMap<string, StoredObject>,
  sealer: Sealer,
): ReadonlyMap<string, StoredObject> => {
  const objects = new Map<string, StoredObject>();
  const put = <T>(
    name: ObjectName,
    codec: Codec<T>,
    now: Kept<T> | null | undefined,
    then: Kept<T> | null | undefined,
  ): void => {
    if (now === null || now === undefined) return;
    const same = now === then ? kept.get(name) : undefined;
    objects.set(name, same ?? storedFrom(name, codec, now, sealer));
  };
  put('intent', intentCodec, store.intent, before.intent);
  put('gen', publishedCodec, store.generations.at(-1), before.generations.at(-1));
  put('verdict', verdictCodec, store.verdict, before.verdict);
  for (const [id, record] of store.relations) put(relationObject(id), relationCodec, record, before.relations.get(id));
  return objects;
};

const storedFrom = <T>(name: ObjectName, codec: Codec<T>, kept: Kept<T>, sealer: Sealer): StoredObject => {
  const { version, epoch } = kept;
  const body = codec.encode(sealer, placeOf(name, { version }), kept.value);
  return { version, epoch, digest: digestOf(body), request: kept.nonce ?? '', body };
};

/** Leases, members and bags are of the process that ended; everything else is as it was. */
const storeFrom = (ledger: Ledger, sealer: Sealer): MemoryStore => {
  const { content, recalled } = ledger;
  const { objects } = content;
  // The write that was lost may have kept one grant of the lease, and nobody else knows of it.
  const epoch = content.epoch + (recalled.losses.length > 0 ? 1 : 0);
  const read = <T>(name: ObjectName, codec: Codec<T>): Kept<T> | null => {
    const stored = objects.get(name);
    if (stored === undefined) return null;
    const decoded = codec.decode(sealer, placeOf(name, stored), stored.body);
    if (decoded.kind !== 'decoded') throw new Error(`cannot read ${name} of the ledger: ${decoded.kind}`);
    return { value: decoded.value, version: stored.version, epoch: stored.epoch, nonce: stored.request as Nonce };
  };
  const published = read('gen', publishedCodec);
  const empty = emptyStore();
  return {
    ...empty,
    floor: epoch,
    lease: { ...empty.lease, epoch },
    intent: read('intent', intentCodec),
    generations: published === null ? [] : [published],
    verdict: read('verdict', verdictCodec),
    relations: relationsFrom([...objects.keys()].map((name) => (isRelation(name) ? read(name, relationCodec) : null))),
  };
};

const relationsFrom = (records: readonly (Kept<RelationRecord> | null)[]): MemoryStore['relations'] =>
  new Map(records.flatMap((kept) => (kept === null ? [] : [[kept.value.id, kept] as const])));

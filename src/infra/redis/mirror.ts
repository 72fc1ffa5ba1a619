/**
 * This unit's copy of what the store holds, and of what it knows better. For each object of the leader (intent included) it keeps
 * the newest version ever accepted, by (epoch, version), and beside it the version that the store shows: writes are judged against
 * the latter, the former is told and kept in the ledger. Where the store shows less than we know it has lost something, and is
 * offered ours. What cannot be read is never applied: the last good copy stays.
 */
import type { Published, Verdict } from '../../actors/model/fleet-spec.ts';
import type { RelationId, UnitName } from '../../actors/model/ids.ts';
import type { Intent } from '../../actors/model/intent.ts';
import type { DamagedObject, RelationRecord, UnitBag } from '../../actors/model/snapshot.ts';
import type { Codec, Sealer } from '../files/codec.ts';
import { bagCodec, intentCodec, publishedCodec, relationCodec, verdictCodec } from '../files/domain-codecs.ts';
import type { Log } from '../files/log.ts';
import {
  digestOf,
  isNewer,
  isRelation,
  type ObjectName,
  placeOf,
  relationObject,
  type StoredObject,
} from '../files/stored-object.ts';
import { isUnitObject } from './keys.ts';
import type { ReadObject } from './scripts.ts';

/** Version and digest that the store shows: what a write of ours must find there. */
export interface Shown {
  readonly version: number;
  readonly epoch: number;
  readonly digest: string;
}
const nothing: Shown = { version: 0, epoch: 0, digest: '' };

export class Mirror {
  readonly #sealer: Sealer;
  readonly #log: Log;
  #objects: ReadonlyMap<string, StoredObject> = new Map();
  readonly #shown = new Map<ObjectName, Shown>();
  readonly #bags = new Map<UnitName, UnitBag>();
  readonly #relations = new Map<string, RelationRecord>();
  readonly #damaged = new Map<ObjectName, string>();
  intent: Intent | null = null;
  published: Published | null = null;
  verdict: Verdict = { covers: 0, good: null, refused: null };

  constructor(sealer: Sealer, log: Log, known: ReadonlyMap<string, StoredObject>) {
    this.#sealer = sealer;
    this.#log = log;
    for (const [name, object] of known) if (isLeaderObject(name)) this.#adopt(name, object);
  }

  /** What the ledger holds of it: replaced whenever something changes, so that it can be compared. */
  get objects(): ReadonlyMap<string, StoredObject> {
    return this.#objects;
  }
  get relations(): readonly RelationRecord[] {
    return [...this.#relations.values()].toSorted((a, b) => a.id - b.id);
  }
  get damaged(): readonly DamagedObject[] {
    return [...this.#damaged].map(([object, reason]) => ({
      object,
      relation: relationIn(object),
      unit: isUnitObject(object) ? unitIn(object) : null,
      reason,
    }));
  }
  /** It is there, cannot be read, and no earlier version of it is known. */
  isLost(name: LeaderObject): boolean {
    return this.#damaged.has(name) && !this.#objects.has(name);
  }
  bagOf(unit: UnitName): UnitBag | null {
    return this.#bags.get(unit) ?? null;
  }
  shown(name: ObjectName): Shown {
    return this.#shown.get(name) ?? nothing;
  }

  /**
   * Takes in what was read. `lossy`: the store is not the one we knew, or went back, so an absence proves nothing.
   * Answers with the objects of which we know more than the store.
   */
  absorb(read: ReadonlyMap<ObjectName, ReadObject>, lossy: boolean): readonly ObjectName[] {
    return [...read].filter(([name, found]) => this.#absorbOne(name, found, lossy)).map(([name]) => name);
  }

  /** Names that the store's whole index lacks are absent there. */
  missingFrom(index: ReadonlySet<string>): readonly ObjectName[] {
    const known = new Set<ObjectName>(this.#shown.keys());
    for (const name of this.#objects.keys()) if (isLeaderObject(name)) known.add(name);
    return [...known].filter((name) => !index.has(name));
  }

  /** A write of ours that the store has taken. */
  wrote(name: LeaderObject, object: StoredObject): void {
    if (!isNewer(object, this.#objects.get(name))) return; // The answer to a repeated write may be old news.
    this.#shown.set(name, object);
    this.#adopt(name, object);
  }
  removed(name: `rel:${number}`): void {
    this.#shown.delete(name);
    this.#damaged.delete(name);
    this.#forget(name);
  }

  /** True when we know more than the store shows. */
  #absorbOne(name: ObjectName, found: ReadObject, lossy: boolean): boolean {
    if (found !== 'asKnown') this.#damaged.delete(name);
    if (isDamaged(found)) {
      this.#reportDamage(name, {}, found.damaged);
      return false;
    }
    if (found === 'absent') this.#shown.delete(name);
    else if (found !== 'asKnown') this.#shown.set(name, found);
    if (isUnitObject(name)) {
      if (found !== 'asKnown') this.#absorbBag(name, found);
      return false;
    }
    const ours = this.#objects.get(name);
    if (found === 'absent') return this.#absorbAbsence(name, lossy);
    if (found === 'asKnown') return ours !== undefined && isNewer(ours, this.shown(name));
    if (ours !== undefined && isNewer(ours, found)) return true;
    if (ours !== undefined && ours.digest !== found.digest && !isNewer(found, ours))
      this.#reportFork(name, ours, found);
    this.#adopt(name, found);
    return false;
  }

  /** Relations come and go; of everything else there is always one again, so its absence is a loss. */
  #absorbAbsence(name: LeaderObject, lossy: boolean): boolean {
    if (!this.#objects.has(name)) return false;
    if (lossy || !isRelation(name)) return true;
    this.#forget(name);
    return false;
  }

  #absorbBag(name: `unit:${string}`, found: StoredObject | 'absent'): void {
    const unit = unitIn(name);
    if (found === 'absent') this.#bags.delete(unit);
    else this.#read(name, found, bagCodec, (bag) => this.#bags.set(unit, bag));
  }

  #reportFork(name: string, ours: StoredObject, theirs: StoredObject): void {
    const fields = {
      object: name,
      version: theirs.version,
      epoch: theirs.epoch,
      ours: ours.digest,
      theirs: theirs.digest,
    };
    this.#log.error(
      fields,
      'one version of an object has two contents: the store had two histories, and what it shows stays',
    );
  }

  #adopt(name: LeaderObject, object: StoredObject): void {
    const good = this.#readInto(name, object);
    if (good) this.#objects = new Map(this.#objects).set(name, object);
  }

  #readInto(name: LeaderObject, object: StoredObject): boolean {
    switch (name) {
      case 'intent':
        return this.#read(name, object, intentCodec, (intent) => {
          this.intent = intent;
        });
      case 'gen':
        return this.#read(name, object, publishedCodec, (published) => {
          this.published = published;
        });
      case 'verdict':
        return this.#read(name, object, verdictCodec, (verdict) => {
          this.verdict = verdict;
        });
      default:
        return this.#read(name, object, relationCodec, (record) => {
          if (relationObject(record.id) === name) this.#relations.set(name, record);
        });
    }
  }

  #read<T>(name: ObjectName, object: StoredObject, codec: Codec<T>, good: (value: T) => void): boolean {
    const fits = digestOf(object.body) === object.digest;
    const decoded = codec.decode(this.#sealer, placeOf(name, object), object.body);
    if (fits && decoded.kind === 'decoded') {
      this.#damaged.delete(name);
      good(decoded.value);
      return true;
    }
    const reason = !fits ? 'its digest does not fit' : decoded.kind === 'corrupt' ? decoded.reason : decoded.kind;
    this.#reportDamage(name, { version: object.version, epoch: object.epoch }, reason);
    return false;
  }

  #reportDamage(name: ObjectName, about: Readonly<Record<string, unknown>>, reason: string): void {
    this.#damaged.set(name, reason);
    this.#log.error(
      { object: name, ...about, reason },
      'an object of the store cannot be read: the last good one stays',
    );
  }

  #forget(name: LeaderObject): void {
    const objects = new Map(this.#objects);
    if (objects.delete(name)) this.#objects = objects;
    this.#relations.delete(name);
  }
}

const isDamaged = (found: ReadObject): found is Extract<ReadObject, { readonly damaged: string }> =>
  typeof found === 'object' && 'damaged' in found;
const unitIn = (name: `unit:${string}`): UnitName => name.slice('unit:'.length) as UnitName;
const relationIn = (name: ObjectName): RelationId | null =>
  isRelation(name) ? (Number(name.slice('rel:'.length)) as RelationId) : null;

export type LeaderObject = Exclude<ObjectName, `unit:${string}`>;
const isLeaderObject = (name: string): name is LeaderObject =>
  name === 'intent' || name === 'gen' || name === 'verdict' || isRelation(name);

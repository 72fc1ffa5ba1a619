/**
 * What the units of an application share through the peer relation. The application's bag is the leader's; each unit has one of its
 * own. Their texts are those that are kept elsewhere too, every secret in them sealed with a key that is a Juju secret of the
 * application: so a bag tells everything as of one moment, whatever revision of a secret a unit can see at that moment.
 * The ancestor's keys lie beside ours and are left alone.
 */
import { z } from 'zod';
import type { Published, Verdict } from '../../../actors/model/fleet-spec.ts';
import type { Epoch, Nonce, RelationId, UnitName } from '../../../actors/model/ids.ts';
import type { Intent } from '../../../actors/model/intent.ts';
import type { DamagedObject, RelationRecord, UnitBag } from '../../../actors/model/snapshot.ts';
import type { Codec, Sealer } from '../../files/codec.ts';
import {
  bagCodec,
  intentCodec,
  publishedCodec,
  relationCodec,
  unitNameSchema,
  verdictCodec,
} from '../../files/domain-codecs.ts';
import type { Bag } from '../tools.ts';
import { jsonIn } from '../wire/json.ts';
import { type KeptLimit, keptLimitSchema } from './kept-limit.ts';

export interface Lease {
  readonly holder: UnitName;
  readonly epoch: Epoch;
}

/** What the application's bag holds of ours. */
export interface Shared {
  readonly lease: Lease | null;
  readonly intent: Intent | null;
  readonly published: Published | null;
  readonly verdict: Verdict;
  readonly records: ReadonlyMap<RelationId, RelationRecord>;
  /** Juju secrets that we made for relations. */
  readonly secrets: ReadonlyMap<string, OwnedSecret>;
  /** Of the fleet that was here before ours; null: none, or it is confirmed. */
  readonly keptLimit: KeptLimit | null;
  readonly damaged: readonly DamagedObject[];
  /** Not to be read without this one of our keys. Null: all could be. */
  readonly otherKey: string | null;
}
/** By its label. `fingerprint`: of its content, which only the holder of the key can compare. */
export interface OwnedSecret {
  readonly id: string;
  readonly relation: number;
  readonly fingerprint: string;
}

/** A unit as it tells of itself. */
export interface Member {
  readonly nonce: Nonce;
  readonly instances: number;
  readonly down: boolean;
}

const noVerdict: Verdict = { covers: 0, good: null, refused: null };

const keyOf = {
  lease: 'troupe-lease',
  intent: 'troupe-intent',
  published: 'troupe-fleet',
  verdict: 'troupe-verdict',
  secrets: 'troupe-secrets',
  keptLimit: 'troupe-kept-limit',
  member: 'troupe-member',
  bag: 'troupe-unit',
} as const;
const recordPrefix = 'troupe-relation-';
const recordKey = (id: RelationId): string => `${recordPrefix}${id}`;

const leaseSchema: z.ZodType<Lease> = z.object({
  holder: unitNameSchema,
  epoch: z.int().transform((n) => n as Epoch),
});
const memberSchema: z.ZodType<Member> = z.object({
  nonce: z
    .string()
    .max(64)
    .transform((s) => s as Nonce),
  instances: z.int().positive(),
  down: z.boolean(),
});
const secretsSchema = z.record(
  z.string(),
  z.object({ id: z.string(), relation: z.int().nonnegative(), fingerprint: z.string() }),
);

/** `sealer` is null while the key is not there: then what needs it counts as sealed with another one. */
export const readShared = (bag: Bag, sealer: Sealer | null): Shared => {
  const damaged: DamagedObject[] = [];
  let otherKey: string | null = null;
  const sealed = <T>(key: string, codec: Codec<T>, relation: RelationId | null = null): T | null => {
    const text = bag[key];
    if (text === undefined) return null;
    const decoded =
      sealer === null ? ({ kind: 'otherKey', keyId: 'unknown' } as const) : codec.decode(sealer, key, text);
    if (decoded.kind === 'decoded') return decoded.value;
    if (decoded.kind === 'otherKey') otherKey = decoded.keyId;
    else damaged.push({ object: key, relation, unit: null, reason: decoded.reason });
    return null;
  };
  const plain = <T>(key: string, schema: z.ZodType<T>): T | null => {
    const text = bag[key];
    if (text === undefined) return null;
    const value = jsonIn(text, schema);
    if (value !== undefined) return value;
    damaged.push({ object: key, relation: null, unit: null, reason: 'it has another shape' });
    return null;
  };
  const ids = Object.keys(bag).flatMap((key) =>
    new RegExp(`^${recordPrefix}\\d+$`).test(key) ? [Number(key.slice(recordPrefix.length)) as RelationId] : [],
  );
  const records = ids
    .toSorted((a, b) => a - b)
    .flatMap((id) => {
      const record = sealed(recordKey(id), relationCodec, id);
      return record === null ? [] : [[id, record] as const];
    });
  return {
    lease: plain(keyOf.lease, leaseSchema),
    intent: sealed(keyOf.intent, intentCodec),
    published: sealed(keyOf.published, publishedCodec),
    verdict: sealed(keyOf.verdict, verdictCodec) ?? noVerdict,
    records: new Map(records),
    secrets: new Map(Object.entries(plain(keyOf.secrets, secretsSchema) ?? {})),
    keptLimit: plain(keyOf.keptLimit, keptLimitSchema),
    damaged,
    otherKey,
  };
};

/** The keys to write so that the bag tells `now` instead of `then`, which is what it told. */
export const sharedChanges = (then: Shared, now: Shared, sealer: Sealer): Bag => {
  const changes: Record<string, string> = {};
  const put = <T>(key: string, was: T | null, is: T | null, write: (value: T) => string): void => {
    if (is !== was) changes[key] = is === null ? '' : write(is);
  };
  const sealed =
    <T>(key: string, codec: Codec<T>) =>
    (value: T): string =>
      codec.encode(sealer, key, value);
  put(keyOf.lease, then.lease, now.lease, JSON.stringify);
  put(keyOf.intent, then.intent, now.intent, sealed(keyOf.intent, intentCodec));
  put(keyOf.published, then.published, now.published, sealed(keyOf.published, publishedCodec));
  put(keyOf.keptLimit, then.keptLimit, now.keptLimit, JSON.stringify);
  put(keyOf.verdict, then.verdict, now.verdict, sealed(keyOf.verdict, verdictCodec));
  for (const id of new Set([...then.records.keys(), ...now.records.keys()])) {
    const key = recordKey(id);
    put(key, then.records.get(id) ?? null, now.records.get(id) ?? null, sealed(key, relationCodec));
  }
  if (then.secrets !== now.secrets)
    changes[keyOf.secrets] = now.secrets.size === 0 ? '' : JSON.stringify(Object.fromEntries(now.secrets));
  return changes;
};

export interface UnitData {
  readonly member: Member | null;
  readonly bag: UnitBag | null;
  /** Why the databag cannot be read though it is there. */
  readonly damage: string | null;
}

/** There is nothing sealed in it: any key will do. */
export const readUnit = (bag: Bag, sealer: Sealer): UnitData => {
  const text = bag[keyOf.bag];
  const decoded = text === undefined ? null : bagCodec.decode(sealer, keyOf.bag, text);
  return {
    member: jsonIn(bag[keyOf.member], memberSchema) ?? null,
    bag: decoded?.kind === 'decoded' ? decoded.value : null,
    damage: decoded?.kind === 'corrupt' ? decoded.reason : null,
  };
};

export const memberText = (member: Member): Bag => ({ [keyOf.member]: JSON.stringify(member) });
export const bagText = (bag: UnitBag, sealer: Sealer): Bag => ({
  [keyOf.bag]: bagCodec.encode(sealer, keyOf.bag, bag),
});
export const leftUnit: Bag = { [keyOf.member]: '', [keyOf.bag]: '' };

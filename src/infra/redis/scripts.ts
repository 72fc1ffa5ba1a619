/** The scripts with the shape of their replies: what comes over the wire is checked here and nowhere else. */
import { z } from 'zod';
import type { Digest, Epoch, Nonce } from '../../actors/model/ids.ts';
import { unitNameSchema } from '../files/domain-codecs.ts';
import type { StoredObject } from '../files/stored-object.ts';
import { script } from './script.ts';

const digits = z
  .string()
  .regex(/^\d{1,16}$/)
  .transform(Number)
  .pipe(z.int());
const ms = z.int().nonnegative();
const epoch = digits.transform((n) => n as Epoch);
const name = z.string().max(200);
const only = <K extends string>(kind: K) => z.tuple([z.literal(kind)]).transform(([is]) => ({ kind: is }));

/** Redis has no maps in scripts: pairs lie flat in a list. */
const pairs = <K, V>(key: z.ZodType<K>, value: z.ZodType<V>): z.ZodType<ReadonlyMap<K, V>> =>
  z.array(z.unknown()).transform((flat, context) => {
    const entries = new Map<K, V>();
    for (let i = 0; i < flat.length; i += 2) {
      const [k, v] = [key.safeParse(flat[i]), value.safeParse(flat[i + 1])];
      if (k.success && v.success) entries.set(k.data, v.data);
      else context.addIssue({ code: 'custom', message: `pair ${i / 2} does not fit` });
    }
    return entries;
  });

const stored: z.ZodType<StoredObject> = z
  .tuple([digits, digits, z.string(), z.string(), z.string()])
  .transform(([version, at, digest, request, body]) => ({
    version,
    epoch: at,
    digest: digest as Digest,
    request,
    body,
  }));

export interface MemberEntry {
  readonly nonce: Nonce;
  readonly down: boolean;
  readonly instances: number;
}
const memberEntry: z.ZodType<MemberEntry> = z
  .string()
  .regex(/^[0-9a-f]{1,64} \d{1,16} (live|down) \d{1,6}$/)
  .transform((text) => {
    const [nonce = '', , state, instances] = text.split(' ');
    return { nonce: nonce as Nonce, down: state === 'down', instances: Number(instances) };
  });

const lease = z
  .tuple([epoch, z.union([z.literal(''), unitNameSchema]), z.string().max(64), z.int()])
  .transform(([at, holder, nonce, freeInMs]) =>
    holder === ''
      ? { epoch: at, holder: null, nonce: null, freeInMs: 0 }
      : { epoch: at, holder, nonce: nonce as Nonce, freeInMs },
  );

export const beat = script(
  'beat',
  z.union([
    only('UNSEEDED'),
    only('STRANGER'),
    z
      .tuple([
        z.literal('BEAT'),
        name,
        digits,
        name,
        lease,
        digits,
        pairs(unitNameSchema, ms),
        z.enum(['DELTA', 'ALL']),
        z.array(name),
        pairs(unitNameSchema, memberEntry),
      ])
      .transform(([kind, life, revision, tag, held, generation, silent, mode, changed, members]) => ({
        kind,
        position: { life, revision, tag },
        lease: held,
        generation,
        silent,
        all: mode === 'ALL',
        changed,
        members,
      })),
  ]),
  'tell the store that this unit lives',
);

/** One object that is not as we write them says nothing about the others. */
const read = z.union([
  z.tuple([z.literal('!'), z.string()]).transform(([, damaged]) => ({ damaged })),
  z.tuple([]).transform(() => 'absent' as const),
  z.tuple([z.literal('=')]).transform(() => 'asKnown' as const),
  stored,
  z.unknown().transform(() => ({ damaged: 'its fields are not those of an object of ours' })),
]);
export type ReadObject = z.infer<typeof read>;
export const readObjects = script(
  'read-objects',
  z.union([
    only('MOVED'),
    z
      .tuple([z.literal('READ'), z.array(name), z.array(read)])
      .transform(([kind, changed, objects]) => ({ kind, changed, objects })),
  ]),
);

export const join = script(
  'join',
  z.union([
    only('JOINED'),
    only('UNSEEDED'),
    z.tuple([z.literal('DUPLICATE'), z.int()]).transform(([kind, heardMsAgo]) => ({ kind, heardMsAgo })),
  ]),
);

export const claimNumber = script(
  'claim-number',
  z.union([
    only('UNSEEDED'),
    z.tuple([z.literal('CLAIMED'), unitNameSchema]).transform(([kind, unit]) => ({ kind, unit })),
    z
      .tuple([z.literal('LOOKAGAIN'), pairs(unitNameSchema, digits)])
      .transform(([kind, heardAt]) => ({ kind, heardAt })),
  ]),
);

export const leave = script('leave', only('LEFT'));

export const acquireLease = script(
  'acquire-lease',
  z.union([
    only('UNSEEDED'),
    only('STRANGER'),
    z.tuple([z.literal('GRANTED'), epoch]).transform(([kind, granted]) => ({ kind, epoch: granted })),
    z
      .tuple([z.literal('HELD'), unitNameSchema, z.int()])
      .transform(([kind, by, freeInMs]) => ({ kind, by, freeInMs: Math.max(0, freeInMs) })),
  ]),
);
export const renewLease = script('renew-lease', z.union([only('RENEWED'), only('LOST')]));
export const releaseLease = script('release-lease', z.union([only('RELEASED'), only('NOTHELD')]));

const refused = [only('UNSEEDED'), only('FENCED'), only('CONFLICT')] as const;
/** The write was done before: what the store holds of it, which need not be the same bytes. */
const done = z.tuple([z.literal('DUP'), stored]).transform(([kind, object]) => ({ kind, object }));
const writeReply = z.union([...refused, only('OK'), done]);
export type WriteReply = z.infer<typeof writeReply>;
export const changeIntent = script('change-intent', writeReply);
export const publish = script('publish', writeReply);
export const writeObject = script('write-object', writeReply);
export const removeObject = script('remove-object', z.union([...refused, only('OK'), only('GONE')]));
export const removeUnit = script('remove-unit', z.union([...refused, only('OK'), only('GONE')]));
export const writeBag = script(
  'write-bag',
  z.union([only('OK'), only('DUP'), only('SUPERSEDED'), only('STRANGER')]),
  'write what this unit tells of itself',
);
export const offer = script(
  'offer',
  z.tuple([z.literal('OFFERED'), z.array(name)]).transform(([kind, taken]) => ({ kind, taken })),
  'give the store what it lacks',
);

import { randomBytes } from 'node:crypto';
import { Secret } from '../../actors/model/secret.ts';
import { envelopeSchema, type Sealer } from '../files/codec.ts';
import { open, type Place, seal } from '../files/seal.ts';
import type { StoredObject } from '../files/stored-object.ts';
import type { Connection } from './connection.ts';
import type { Keys } from './keys.ts';
import { offer } from './scripts.ts';

/** What stands at the door of the store: nobody else's data, nobody else's key, no format we do not know. */
export type Entrance =
  | { readonly kind: 'open'; readonly life: string }
  | { readonly kind: 'empty' }
  | { readonly kind: 'closed'; readonly reason: string };

export const look = async (connection: Connection, keys: Keys, sealer: Sealer): Promise<Entrance> => {
  const [sealed, life, formatNumber, probe] = await connection.run('look at the store', (redis) =>
    redis.hmget(keys.meta, 'sealed', 'inc', 'fmt', 'seal'),
  );
  if (sealed !== '1' || typeof life !== 'string') return { kind: 'empty' };
  if (formatNumber !== '1') {
    return {
      kind: 'closed',
      reason: `the store holds data of format ${formatNumber ?? 'unknown'}, written by another version of Troupe: upgrade this unit`,
    };
  }
  const reason = keyTrouble(sealer, probe ?? '');
  return reason === null ? { kind: 'open', life } : { kind: 'closed', reason };
};

/** Hands the store what it lacks of `objects`, giving it a beginning when it has none. */
export const give = async (
  connection: Connection,
  keys: Keys,
  sealer: Sealer,
  epoch: number,
  objects: ReadonlyMap<string, StoredObject>,
): Promise<void> => {
  const entries = [...objects].flatMap(([name, object]) => {
    const body = keys.body(name, object.version);
    return body === null ? [] : [{ name, object, body, head: name === 'gen' ? keys.gen : body }];
  });
  await offer(
    connection,
    [keys.meta, keys.idx, ...entries.flatMap(({ head, body }) => [head, body])],
    [
      random(),
      JSON.stringify(seal(sealer.key, placeOfProbe(sealer), new Secret(probeText))),
      epoch,
      random(),
      keys.all,
      ...entries.flatMap(({ name, object: { version, epoch: at, digest, request, body } }) => [
        name,
        version,
        at,
        digest,
        request,
        body,
      ]),
    ],
  );
};

/** Names a life of the store, or one revision of it. */
export const random = (): string => randomBytes(8).toString('hex');

const keyTrouble = ({ key, application }: Sealer, probe: string): string | null => {
  const remedy = 'give this unit the secret key file of the other units';
  const envelope = envelopeSchema.safeParse(parsed(probe));
  if (!envelope.success)
    return `the store of ${application} does not tell which secret key it is sealed with: ${remedy}, and look who else writes there`;
  const answer = open(key, placeOfProbe({ key, application }), envelope.data);
  switch (answer.kind) {
    case 'opened':
      return null;
    case 'otherKey':
      return `the secrets of ${application} are sealed with key ${answer.keyId}, and this unit has key ${key.id}: ${remedy}`;
    case 'damaged':
      return `the probe of the secret key in the store of ${application} was changed: ${remedy}, and look who else writes there`;
  }
};

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text.slice(0, 1_000));
  } catch {
    return null;
  }
};

const probeText = 'troupe';
const placeOfProbe = ({ application }: Sealer): Place => ({ application, object: 'meta', field: '/seal' });

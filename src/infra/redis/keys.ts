import type { Application, UnitName } from '../../actors/model/ids.ts';
import { format } from '../files/seal.ts';
import { isRelation, type ObjectName } from '../files/stored-object.ts';

/**
 * All keys and channels of one application. The hash tag keeps them in one slot of a Cluster, so that each script is single-slot.
 * No key expires: times are fields, compared with the server's clock inside the scripts.
 *
 * meta: life (`inc`), `sealed`, epoch `floor`, revision (`rev`, `rn`), `crev`, `fmt`, `seal` (probe of the secret key)
 * lease: epoch, holder, nonce, expiry, renewals, reserved successor and until     idx: object → revision of its last change
 * intent, gen, gen:<g>, verdict, rel:<id>, unit:<u>: `v e c q b` (version, epoch, digest, request, body); gen has no body
 * members: unit → nonce boot state instances     hb: unit → last heartbeat in ms
 */
export interface Keys {
  readonly meta: string;
  readonly lease: string;
  readonly idx: string;
  readonly members: string;
  readonly hb: string;
  readonly intent: string;
  readonly gen: string;
  readonly verdict: string;
  generation(number: number): string;
  relation(id: number): string;
  unit(unit: UnitName): string;
  /** Where the body of an object lies; of `gen` that of generation `newest`. Null for what is no object with a body. */
  body(name: string, newest: number): string | null;
  /** Hints that every unit needs, and those that matter to the leader (databags). */
  readonly all: string;
  readonly lead: string;
}

export const keysOf = (application: Application): Keys => {
  const key = (name: string): string => `${format}:{${application}}:${name}`;
  return {
    meta: key('meta'),
    lease: key('lease'),
    idx: key('idx'),
    members: key('members'),
    hb: key('hb'),
    intent: key('intent'),
    gen: key('gen'),
    verdict: key('verdict'),
    generation: (number) => key(`gen:${number}`),
    relation: (id) => key(`rel:${id}`),
    unit: (unit) => key(`unit:${unit}`),
    body: (name, newest) => (name === 'gen' ? key(`gen:${newest}`) : isObject(name) ? key(name) : null),
    all: key('all'),
    lead: key('lead'),
  };
};

/** An object that units read. Other names of the index (`lease`, `members`) are told by each beat. */
export const isObject = (name: string): name is ObjectName =>
  name === 'intent' || name === 'gen' || name === 'verdict' || isRelation(name) || isUnitObject(name);

export const isUnitObject = (name: string): name is `unit:${string}` => /^unit:[a-z0-9-]+\/\d+$/.test(name);

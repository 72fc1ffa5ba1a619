import { createHash } from 'node:crypto';
import type { Digest, RelationId, UnitName } from '../../actors/model/ids.ts';

/**
 * One object as it is kept: its body is canonical JSON with every secret sealed, and the same text lies in the store and in the
 * ledgers, so that handing it back after a loss needs no key and changes no digest.
 */
export interface StoredObject {
  readonly version: number;
  /** Epoch it was written under; 0 for what needs no leadership. */
  readonly epoch: number;
  /** Of the body. */
  readonly digest: Digest;
  /** Names the write that made it: the same write again is recognised. */
  readonly request: string;
  readonly body: string;
}

/** Newer first by epoch, then by version: what both the store and the units go by. */
export const isNewer = (
  a: Pick<StoredObject, 'epoch' | 'version'>,
  b: Pick<StoredObject, 'epoch' | 'version'> | undefined,
): boolean => b === undefined || a.epoch > b.epoch || (a.epoch === b.epoch && a.version > b.version);

export type ObjectName = 'intent' | 'gen' | 'verdict' | `rel:${number}` | `unit:${string}`;
export const relationObject = (id: RelationId): `rel:${number}` => `rel:${id}`;
export const isRelation = (name: string): name is `rel:${number}` => /^rel:\d+$/.test(name);
export const unitObject = (unit: UnitName): `unit:${string}` => `unit:${unit}`;

/** The name under which secrets of a kept object are sealed: generations are write-once, so each is a place of its own. */
export const placeOf = (name: ObjectName, { version }: Pick<StoredObject, 'version'>): string =>
  name === 'gen' ? `gen:${version}` : name;

export const digestOf = (text: string): Digest => createHash('sha256').update(text).digest('hex') as Digest;

import { createHash } from 'node:crypto';
import type { RelationId } from '../../../actors/model/ids.ts';

/** Juju numbers the relations of a model from 0; far fewer than this are ever made. */
const relations = 2 ** 20;

/**
 * The number under which a request has its login. One that is all of a relation has the relation's number; of several each has one of
 * its own, made from the id that the client gave it, so that it stays the same whatever is asked beside it.
 */
export const relationIdOf = (relation: number, requestId: string | null): RelationId => {
  if (requestId === null) return relation as RelationId;
  const hex = /^[0-9a-f]{8}/.test(requestId) ? requestId : createHash('sha256').update(requestId).digest('hex');
  return (relation + relations * (1 + Number.parseInt(hex.slice(0, 8), 16))) as RelationId;
};

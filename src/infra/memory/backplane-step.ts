import { acquireLease, releaseLease, renewLease } from './backplane-lease.ts';
import { leave, observe, removeUnit, writeBag } from './backplane-members.ts';
import { changeIntent, judge, publish, removeRelation, writeRelation } from './backplane-objects.ts';
import type { Kind, MemoryStore, Replies, Request, Requests, Seat, Stepped } from './backplane-store.ts';

/** One request of one unit: the store and the unit's side of the talk afterwards, and what the unit is told. Pure. */
export const step = <K extends Kind>(
  store: MemoryStore,
  seat: Seat,
  request: Request<K>,
  now: number,
): Stepped<Replies[K]> => {
  const answer: Answer<K> = answers[request.type];
  return answer(store, seat, request, now);
};

type Answer<K extends Kind> = (
  store: MemoryStore,
  seat: Seat,
  request: Requests[K],
  now: number,
) => Stepped<Replies[K]>;

const answers: { readonly [K in Kind]: Answer<K> } = {
  observe,
  acquireLease,
  renewLease,
  releaseLease,
  changeIntent,
  publish,
  judge,
  writeRelation,
  removeRelation,
  removeUnit,
  writeBag,
  leave,
};

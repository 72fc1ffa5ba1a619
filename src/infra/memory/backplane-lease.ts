import type { Epoch } from '../../actors/model/ids.ts';
import type { Leadership } from '../../actors/model/leadership.ts';
import type { LeaseView } from '../../actors/model/snapshot.ts';
import type { Lease, MemoryStore, Replies, Requests, Seat, Stepped } from './backplane-store.ts';

export const acquireLease = (
  store: MemoryStore,
  seat: Seat,
  { ttl }: Requests['acquireLease'],
  now: number,
): Stepped<Replies['acquireLease']> => {
  const { lease } = store;
  if (store.members.get(seat.unit)?.nonce !== seat.nonce) {
    return { store, seat, reply: { kind: 'held', by: seat.unit, freeInMs: strangerRetryMs } };
  }
  const floor = Math.max(store.floor, seat.epoch);
  const valid = lease.expiresAt > now && lease.epoch >= floor;
  if (valid && lease.nonce === seat.nonce) {
    const extended = { ...store, lease: { ...lease, expiresAt: now + ttl } };
    const knowing = { ...seat, epoch: lease.epoch };
    return { store: extended, seat: knowing, reply: { kind: 'granted', epoch: lease.epoch as Epoch } };
  }
  const raised = { ...store, floor };
  if (valid && lease.holder !== null) {
    return { store: raised, seat, reply: { kind: 'held', by: lease.holder, freeInMs: lease.expiresAt - now } };
  }
  if (lease.successor !== null && lease.successor !== seat.unit && lease.reservedUntil > now) {
    return { store: raised, seat, reply: { kind: 'held', by: lease.successor, freeInMs: lease.reservedUntil - now } };
  }
  const epoch = Math.max(lease.epoch, floor) + 1;
  const taken: Lease = {
    epoch,
    holder: seat.unit,
    nonce: seat.nonce,
    expiresAt: now + ttl,
    successor: null,
    reservedUntil: 0,
  };
  return {
    store: { ...store, floor: epoch, lease: taken, revision: store.revision + 1 },
    seat: { ...seat, epoch },
    reply: { kind: 'granted', epoch: epoch as Epoch },
  };
};

export const renewLease = (
  store: MemoryStore,
  seat: Seat,
  { leadership, ttl }: Requests['renewLease'],
  now: number,
): Stepped<Replies['renewLease']> =>
  leads(store, leadership, now)
    ? {
        store: { ...store, lease: { ...store.lease, expiresAt: now + ttl } },
        seat,
        reply: { kind: 'renewed' },
      }
    : { store, seat, reply: { kind: 'lost' } };

/** Epoch and holder stay, as history; only the time ends. */
export const releaseLease = (
  store: MemoryStore,
  seat: Seat,
  { leadership, successor, reserve }: Requests['releaseLease'],
  now: number,
): Stepped<Replies['releaseLease']> => {
  if (!leads(store, leadership, now)) return { store, seat, reply: { kind: 'released' } };
  const lease = { ...store.lease, expiresAt: 0, successor, reservedUntil: successor === null ? 0 : now + reserve };
  return { store: { ...store, lease, revision: store.revision + 1 }, seat, reply: { kind: 'released' } };
};

/** The fence: the lease is this leadership's, has not expired, and nothing newer is known. */
export const leads = ({ lease, floor }: MemoryStore, { epoch, nonce }: Leadership, now: number): boolean =>
  lease.epoch === epoch && lease.nonce === nonce && lease.expiresAt > now && floor <= epoch;

export const leaseView = ({ lease, floor }: MemoryStore, now: number): LeaseView => {
  const epoch = Math.max(lease.epoch, floor) as Epoch;
  return lease.expiresAt > now && lease.epoch >= floor
    ? { holder: lease.holder, nonce: lease.nonce, epoch, freeInMs: lease.expiresAt - now }
    : { holder: null, nonce: null, epoch, freeInMs: 0 };
};

/** Who is not in the roster (yet) looks again after about one heartbeat. */
const strangerRetryMs = 1_000;

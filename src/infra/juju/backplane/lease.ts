/**
 * Juju says who leads; what it does not give is a number by which later leaders outrank earlier ones. That is a counter beside the
 * name of the last leader, in the application's bag of the peer relation: +1 whenever another unit leads, or the same one anew.
 */
import { createHash } from 'node:crypto';
import type { Epoch, Nonce, UnitName, WallMs } from '../../../actors/model/ids.ts';
import type { LeaseView } from '../../../actors/model/snapshot.ts';
import type { Lease } from './peer-data.ts';

/** The same in every dispatch of a unit, and no other unit's. */
export const nonceOf = (model: string, unit: UnitName): Nonce =>
  createHash('sha256').update(`troupe ${model} ${unit}`).digest('hex').slice(0, 32) as Nonce;

/** Nothing that a dispatch could live to see. */
export const endlessMs = 86_400_000;

/**
 * The first epoch of an application is the time: an earlier one of its name may have left its fence in PostgreSQL, and this one has
 * to outrank it.
 */
export const nextEpoch = (lease: Lease | null, seen: number, wall: WallMs): Epoch =>
  (lease === null && seen === 0 ? Math.floor(wall / 1_000) : Math.max(lease?.epoch ?? 0, seen) + 1) as Epoch;

export const leaseSeen = (
  lease: Lease | null,
  self: { readonly unit: UnitName; readonly nonce: Nonce; readonly leads: boolean },
  /** Of those that are there. */
  nonces: ReadonlyMap<UnitName, Nonce>,
): LeaseView => {
  const epoch = (lease?.epoch ?? 0) as Epoch;
  const free = { holder: null, nonce: null, epoch, freeInMs: 0 };
  if (lease === null) return free;
  if (lease.holder === self.unit)
    return self.leads ? { holder: self.unit, nonce: self.nonce, epoch, freeInMs: endlessMs } : free;
  const nonce = nonces.get(lease.holder);
  return self.leads || nonce === undefined ? free : { holder: lease.holder, nonce, epoch, freeInMs: endlessMs };
};

import type { Millis } from '../model/ids.ts';
import { type Backplane, BackplaneUnavailable } from '../ports/backplane.ts';
import type { LeaderMessage } from '../protocol.ts';
import type { LeaderEffect } from './decide.ts';

/** How long the named successor may take the lease before anybody else does. */
const reserveMs = 300 as Millis;

export const performWith =
  (backplane: Backplane) =>
  async (effect: LeaderEffect): Promise<LeaderMessage> => {
    try {
      return await ask(backplane, effect);
    } catch (cause) {
      if (!(cause instanceof BackplaneUnavailable)) throw cause;
      // A lease that could not be handed back ends by itself.
      return effect.type === 'release' ? { type: 'released' } : { type: 'leaseUnavailable', askedAt: effect.askedAt };
    }
  };

const ask = async (backplane: Backplane, effect: LeaderEffect): Promise<LeaderMessage> => {
  switch (effect.type) {
    case 'acquire':
      return { type: 'acquireAnswered', askedAt: effect.askedAt, result: await backplane.acquireLease(effect.ttl) };
    case 'renew':
      return {
        type: 'renewAnswered',
        askedAt: effect.askedAt,
        result: await backplane.renewLease(effect.leadership, effect.ttl),
      };
    case 'release':
      await backplane.releaseLease(effect.leadership, effect.successor, reserveMs);
      return { type: 'released' };
  }
};

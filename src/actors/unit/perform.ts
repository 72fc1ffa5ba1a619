import type { Memory } from '../model/snapshot.ts';
import { type Backplane, BackplaneUnavailable } from '../ports/backplane.ts';
import type { UnitMessage } from '../protocol.ts';
import type { UnitEffect } from './decide.ts';

export const performWith =
  (backplane: Backplane) =>
  async (effect: UnitEffect): Promise<UnitMessage> => {
    switch (effect.type) {
      case 'observe':
        return observe(backplane);
      case 'remember':
        return remember(backplane, effect.memory);
      case 'leave':
        try {
          await backplane.leave(effect.how);
        } catch (cause) {
          // Peers notice by our silence.
          if (!(cause instanceof BackplaneUnavailable)) throw cause;
        }
        return { type: 'left' };
    }
  };

const observe = async (backplane: Backplane): Promise<UnitMessage> => {
  try {
    const observation = await backplane.observe();
    return observation.kind === 'observed'
      ? { type: 'snapshotRead', snapshot: observation.snapshot }
      : { type: 'snapshotRefused', reason: observation.reason };
  } catch (cause) {
    if (!(cause instanceof BackplaneUnavailable)) throw cause;
    return { type: 'snapshotUnavailable', reason: cause.message };
  }
};

const remember = async (backplane: Backplane, memory: Memory): Promise<UnitMessage> => {
  try {
    await backplane.remember(memory);
    return { type: 'remembered', kept: true };
  } catch (cause) {
    if (!(cause instanceof BackplaneUnavailable)) throw cause;
    return { type: 'remembered', kept: false };
  }
};

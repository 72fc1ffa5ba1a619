import { type Backplane, kindOrUnavailable } from '../../ports/backplane.ts';
import type { PeersMessage } from '../../protocol.ts';
import type { PeersEffect } from './decide.ts';

export const performWith =
  (backplane: Backplane) =>
  async (effect: PeersEffect): Promise<PeersMessage> => {
    switch (effect.type) {
      case 'writeBag':
        return { type: 'bagAnswered', outcome: await kindOrUnavailable(() => backplane.writeBag(effect.bag)) };
      case 'removeUnit': {
        const { leadership, unit } = effect;
        const outcome = await kindOrUnavailable(() => backplane.removeUnit(leadership, unit));
        return { type: 'removeAnswered', unit, outcome };
      }
    }
  };

import { type Backplane, BackplaneUnavailable } from '../../ports/backplane.ts';
import type { PeersMessage } from '../../protocol.ts';
import type { PeersEffect } from './decide.ts';

export const performWith =
  (backplane: Backplane) =>
  async (effect: PeersEffect): Promise<PeersMessage> => {
    try {
      const { kind } =
        effect.type === 'writeBag'
          ? await backplane.writeBag(effect.bag)
          : await backplane.removeUnit(effect.leadership, effect.unit);
      return answer(effect, kind);
    } catch (cause) {
      if (!(cause instanceof BackplaneUnavailable)) throw cause;
      return answer(effect, 'unavailable');
    }
  };

const answer = (
  effect: PeersEffect,
  outcome: 'committed' | 'staged' | 'fenced' | 'conflict' | 'unavailable',
): PeersMessage =>
  effect.type === 'writeBag'
    ? { type: 'bagAnswered', outcome }
    : { type: 'removeAnswered', unit: effect.unit, outcome };

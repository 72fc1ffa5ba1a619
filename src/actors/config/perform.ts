import { type Backplane, BackplaneUnavailable, kindOrUnavailable } from '../ports/backplane.ts';
import type { Callers } from '../ports/callers.ts';
import type { ConfigMessage } from '../protocol.ts';
import type { ConfigEffect } from './state.ts';

export const performWith =
  (backplane: Backplane, callers: Callers) =>
  async (effect: ConfigEffect): Promise<ConfigMessage | undefined> => {
    switch (effect.type) {
      case 'changeIntent': {
        const outcome = await kindOrUnavailable(() => backplane.changeIntent(effect.intent));
        return { type: 'intentAnswered', intent: effect.intent, outcome };
      }
      case 'publish':
        return publish(backplane, effect);
      case 'judge': {
        const outcome = await kindOrUnavailable(() => backplane.judge(effect.leadership, effect.verdict));
        return { type: 'judgeAnswered', verdict: effect.verdict, outcome };
      }
      case 'answer':
        callers.answer(effect.request, effect.outcome);
        return undefined;
    }
  };

const publish = async (
  backplane: Backplane,
  { leadership, after, spec, intentVersion, reason }: Extract<ConfigEffect, { type: 'publish' }>,
): Promise<ConfigMessage> => {
  try {
    const result = await backplane.publish(leadership, after, spec, { intentVersion, reason });
    const published = 'published' in result ? result.published : null;
    return { type: 'publishAnswered', outcome: result.kind, published };
  } catch (cause) {
    if (!(cause instanceof BackplaneUnavailable)) throw cause;
    return { type: 'publishAnswered', outcome: 'unavailable', published: null };
  }
};

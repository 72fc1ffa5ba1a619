import type { BackendFacts } from '../model/backend.ts';
import type { Lack } from '../model/waits.ts';
import type { ConfigState } from './state.ts';

/** What is missing before the next generation can be published, or what must change for it. */
export const lacksOf = (state: ConfigState): readonly Lack[] => {
  const lacks: Lack[] = [];
  if (!state.intent.known)
    lacks.push({
      id: 'intent',
      kind: 'waiting',
      message: 'the intent has not been read from the backplane yet',
      on: 'backplane',
    });
  if (state.leadership === null) return lacks;
  if (!state.clients.known)
    lacks.push({
      id: 'clients',
      kind: 'waiting',
      message: 'the client relations are not known yet: nothing is published before',
      on: 'client',
    });
  if (state.intent.known) {
    const seen = state.facts.known ? state.facts.value : new Map<string, BackendFacts>();
    const missing = Object.keys(state.intent.value?.backends ?? {}).filter((name) => !seen.has(name));
    if (missing.length > 0 || !state.facts.known)
      lacks.push({
        id: 'backend-facts',
        kind: 'waiting',
        message: `backends are not known yet${missing.length > 0 ? ` (${missing.join(', ')})` : ''}: nothing is published before`,
        on: 'backend',
      });
  }
  if (state.composed?.kind === 'refused')
    lacks.push({ id: 'budget', kind: 'blocked', message: state.composed.reason, on: 'operator' });
  if (state.verdict.refused !== null)
    lacks.push({
      id: 'intent-refused',
      kind: 'blocked',
      message: `intent ${state.verdict.refused.intentVersion} was refused by ${state.verdict.refused.reason}; the fleet stays on generation ${state.verdict.good?.generation ?? 'none'}: change the options again`,
      on: 'operator',
    });
  return lacks;
};

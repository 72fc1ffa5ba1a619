/** Changes that operators asked for and wait for: tried from the facts of the moment, answered before their deadline. */
import type { ChangeOutcome } from '../model/change.ts';
import type { Intent } from '../model/intent.ts';
import { known } from '../model/known.ts';
import type { ConfigMessage, WriteOutcome } from '../protocol.ts';
import { changeIntent } from './change.ts';
import { limitsIn } from './compose.ts';
import { seatsFor } from './seats.ts';
import type { Asked, ConfigEffect, ConfigSettings, ConfigState } from './state.ts';

/** More than this many people changing one fleet at once is an accident. */
const mostAsked = 50;

type ChangeAsked = Extract<ConfigMessage, { type: 'changeAsked' }>;
export const changeAsked = (
  { answerMs }: ConfigSettings,
  state: ConfigState,
  { type: _, ...asked }: ChangeAsked,
  now: number,
  effects: ConfigEffect[],
): ConfigState => {
  if (state.asked.length < mostAsked)
    return { ...state, asked: [...state.asked, { ...asked, deadline: now + answerMs }] };
  const outcome = { kind: 'refused', reason: 'too many changes are asked for at once: try again' } as const;
  effects.push({ type: 'answer', request: asked.request, outcome });
  return state;
};

export const intentAnswered = (
  state: ConfigState,
  intent: Intent,
  outcome: WriteOutcome,
  effects: ConfigEffect[],
): ConfigState => {
  const [first, ...rest] = state.asked;
  if (first === undefined) return { ...state, writing: null };
  const answer = (answered: ChangeOutcome, next: ConfigState): ConfigState => {
    effects.push({ type: 'answer', request: first.request, outcome: answered });
    return { ...next, asked: rest, writing: null };
  };
  switch (outcome) {
    case 'committed':
    case 'staged':
      return answer({ kind: 'accepted', version: intent.version }, { ...state, intent: known(intent) });
    case 'conflict':
      // Somebody was faster: the next reading shows what they asked for, then ours is tried on top of it.
      return { ...state, writing: null, intentStale: true };
    case 'fenced':
    case 'unavailable':
      return answer(
        {
          kind: 'unavailable',
          reason:
            'the backplane did not answer: nobody knows whether the change was kept; look at the status, then ask again',
        },
        { ...state, intentStale: true },
      );
  }
};

/** The oldest change asked for, from the facts of the moment; those whose deadline has passed are told so. */
export const serveAsked = (state: ConfigState, now: number, effects: ConfigEffect[]): ConfigState => {
  if (state.writing !== null) return state;
  const late = state.asked.filter(({ deadline }) => now >= deadline);
  for (const { request } of late) {
    const reason =
      'the backplane did not answer in time: the change was not made; try again when the status says connected';
    effects.push({ type: 'answer', request, outcome: { kind: 'unavailable', reason } });
  }
  const asked = late.length === 0 ? state.asked : state.asked.filter(({ deadline }) => now < deadline);
  const next = { ...state, asked };
  const [first, ...rest] = asked;
  if (first === undefined || !state.intent.known || state.intentStale) return next;
  const intent = state.intent.value;
  const outcome = answerTo(first, intent);
  if (outcome !== null) {
    effects.push({ type: 'answer', request: first.request, outcome });
    return serveAsked({ ...next, asked: rest }, now, effects);
  }
  const changed = changeIntent(
    intent,
    first.change,
    first,
    state.records,
    state.units.known ? state.units.value : null,
  );
  switch (changed.kind) {
    case 'changed': {
      // A unit that leaves asks for nothing that would have to fit.
      const impossible = first.change.type === 'removeUnit' ? null : cannotFit(state, changed.intent);
      if (impossible !== null) return settled(next, rest, first, { kind: 'refused', reason: impossible }, now, effects);
      effects.push({ type: 'changeIntent', intent: changed.intent });
      return { ...next, writing: changed.intent };
    }
    case 'unchanged':
      return settled(next, rest, first, { kind: 'unchanged', version: intent?.version ?? 0 }, now, effects);
    case 'invalid':
    case 'refused':
      return settled(next, rest, first, changed, now, effects);
  }
};

const settled = (
  state: ConfigState,
  rest: readonly Asked[],
  { request }: Asked,
  outcome: ChangeOutcome,
  now: number,
  effects: ConfigEffect[],
): ConfigState => {
  effects.push({ type: 'answer', request, outcome });
  return serveAsked({ ...state, asked: rest }, now, effects);
};

const answerTo = ({ expected }: Asked, intent: Intent | null): ChangeOutcome | null => {
  const version = intent?.version ?? 0;
  return expected === null || expected === version ? null : { kind: 'moved', version, by: intent?.author ?? '' };
};

/** What today's roster cannot serve is refused at the door, before it becomes an intent. */
const cannotFit = (state: ConfigState, intent: Intent): string | null => {
  if (!state.units.known) return null;
  const seated = state.published.known ? (state.published.value?.spec.slots ?? null) : null;
  const tried = seatsFor(limitsIn(intent.options, intent.clients), state.units.value, seated);
  return tried.kind === 'refused' ? tried.reason : null;
};

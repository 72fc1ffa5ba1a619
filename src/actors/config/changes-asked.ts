/** Changes that operators asked for and wait for: tried from the facts of the moment, answered before their deadline. */
import type { ChangeOutcome, Compared } from '../model/change.ts';
import { differenceOf } from '../model/difference.ts';
import { applicationOf, type WallMs } from '../model/ids.ts';
import type { Intent } from '../model/intent.ts';
import { known } from '../model/known.ts';
import type { ConfigMessage, WriteOutcome } from '../protocol.ts';
import { changeIntent } from './change.ts';
import type { Changed } from './changed.ts';
import { limitsIn } from './compose.ts';
import { notNamed } from './fleet.ts';
import { seatsFor } from './seats.ts';
import type { Asked, ConfigEffect, ConfigSettings, ConfigState } from './state.ts';

/** An operator looks at the options and changes them within minutes: more changes than this are made by programs. */
const mostEarlier = 16;

/** An intent that is known now, with what was known before kept for a while. */
export const withIntent = (state: ConfigState, intent: Intent | null): ConfigState => {
  const before = state.intent.known ? state.intent.value : null;
  if (before === null || before.version === intent?.version) return { ...state, intent: known(intent) };
  const earlier = [...state.earlier, before].filter(({ version }) => version < (intent?.version ?? 0));
  return { ...state, intent: known(intent), earlier: earlier.slice(-mostEarlier) };
};

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
      return answer({ kind: 'accepted', version: intent.version }, withIntent(state, intent));
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
export const serveAsked = (
  settings: ConfigSettings,
  state: ConfigState,
  now: number,
  effects: ConfigEffect[],
): ConfigState => {
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
  const outcome = answerTo(first, state, intent);
  if (outcome !== null) {
    effects.push({ type: 'answer', request: first.request, outcome });
    return serveAsked(settings, { ...next, asked: rest }, now, effects);
  }
  const changed = changeIntent(
    intent,
    first.change,
    { ...first, application: applicationOf(settings.self) },
    state.records,
    state.units.known ? state.units.value : null,
  );
  const answered = answerBefore(state, first, intent, changed);
  if (answered !== null) {
    effects.push({ type: 'answer', request: first.request, outcome: answered });
    return serveAsked(settings, { ...next, asked: rest }, now, effects);
  }
  if (changed.kind !== 'changed') return next;
  effects.push({ type: 'changeIntent', intent: changed.intent });
  return { ...next, writing: changed.intent };
};

/** What can be answered without writing anything. */
const answerBefore = (
  state: ConfigState,
  { change, dryRun }: Asked,
  before: Intent | null,
  changed: Changed,
): ChangeOutcome | Compared | null => {
  if (changed.kind === 'invalid' || changed.kind === 'refused') return changed;
  const version = before?.version ?? 0;
  const after = changed.kind === 'changed' ? changed.intent : before;
  // A unit that leaves asks for nothing that would have to fit.
  const impossible =
    changed.kind === 'changed' && change.type !== 'removeUnit' ? cannotFit(state, changed.intent) : null;
  if (impossible !== null) return { kind: 'refused', reason: impossible };
  if (dryRun === true) {
    const kept = change.type === 'applyFleet' ? notNamed(after, change) : [];
    return { kind: 'compared', version, difference: differenceOf(before, after), kept };
  }
  return changed.kind === 'unchanged' ? { kind: 'unchanged', version } : null;
};

const answerTo = ({ expected }: Asked, { earlier }: ConfigState, intent: Intent | null): ChangeOutcome | null => {
  const version = intent?.version ?? 0;
  if (expected === null || expected === version) return null;
  const lookedAt = earlier.find((one) => one.version === expected);
  const since = lookedAt === undefined && expected !== 0 ? null : differenceOf(lookedAt ?? null, intent);
  return { kind: 'moved', version, by: intent?.author ?? '', at: intent?.at ?? (0 as WallMs), since };
};

/** What today's roster cannot serve is refused at the door, before it becomes an intent. */
const cannotFit = (state: ConfigState, intent: Intent): string | null => {
  if (!state.units.known) return null;
  const seated = state.published.known ? (state.published.value?.spec.slots ?? null) : null;
  const tried = seatsFor(limitsIn(intent.options, intent.clients), state.units.value, seated);
  return tried.kind === 'refused' ? tried.reason : null;
};

/**
 * Intent and fleet spec: accepts or refuses what operators ask for; as leader composes, publishes and judges generations.
 *
 * States of a change: asked → writing → accepted, or moved, refused, unavailable. States of a generation: composed → publishing →
 * published → good, or refused (then the options of the last good intent come back as the next generation).
 * What moves it: the snapshot (intent, newest generation, verdict), roster and acknowledgements, backend facts, the clients to
 * serve, leadership, answers.
 * Invariants: nothing is published unless every input is known; an equal spec is never published again; one write of a kind at a
 * time; an intent that was refused is not published until it changes; everybody who asked is answered before their deadline.
 */
import type { Decision, Send } from '../kit/behaviour.ts';
import type { Published } from '../model/fleet-spec.ts';
import { known } from '../model/known.ts';
import { same } from '../model/same.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { waitsOf } from '../model/waits.ts';
import type { ConfigMessage, WriteOutcome } from '../protocol.ts';
import { changeAsked, intentAnswered, serveAsked, withIntent } from './changes-asked.ts';
import { lead } from './generations.ts';
import { lacksOf } from './lacks.ts';
import { missingIn } from './missing.ts';
import { type ConfigEffect, type ConfigSettings, type ConfigState, isKept, retryMs } from './state.ts';

type Decided = Decision<ConfigState, ConfigEffect>;

export const decideWith =
  (settings: ConfigSettings) =>
  (state: ConfigState, message: ConfigMessage, now: number): Decided => {
    const effects: ConfigEffect[] = [];
    let next = absorb(settings, state, message, now, effects);
    next = serveAsked(settings, next, now, effects);
    const generation = generationIn(next);
    if (generation !== generationIn(state))
      next = { ...next, publishedAt: next.recalled?.generation === generation ? next.recalled.publishedAt : now };
    next = lead(settings, { ...next, missing: missingIn(next, now) }, now, effects);
    return speak(state, next, effects, now);
  };

const generationIn = ({ published: it }: ConfigState): number | null => (it.known ? (it.value?.generation ?? 0) : null);

const absorb = (
  settings: ConfigSettings,
  state: ConfigState,
  message: ConfigMessage,
  now: number,
  effects: ConfigEffect[],
): ConfigState => {
  switch (message.type) {
    case 'recalled': {
      const { published, wall } = message;
      const recalled =
        published === null
          ? null
          : { generation: published.generation, publishedAt: now - Math.max(0, wall - published.at) };
      return { ...state, recalled };
    }
    case 'observed':
      return observed(state, message.snapshot);
    case 'ticked':
      return state;
    case 'hooked':
      return { ...state, retryAt: now };
    case 'leadershipTold':
      return { ...state, leadership: message.leadership, retryAt: now };
    case 'backendsTold':
      return { ...state, facts: known({ facts: message.facts, under: message.under }) };
    case 'rosterTold':
      return { ...state, units: known(message.units) };
    case 'clientsTold':
      return { ...state, clients: known(message.clients) };
    case 'changeAsked':
      return changeAsked(settings, state, message, now, effects);
    case 'intentAnswered':
      return intentAnswered(state, message.intent, message.outcome, effects);
    case 'publishAnswered':
      return published(state, message.outcome, message.published, now);
    case 'judgeAnswered':
      return isKept(message.outcome)
        ? { ...state, judging: false, verdict: message.verdict }
        : { ...state, judging: false, retryAt: now + retryMs };
  }
};

/** A reading never takes back what an answered write has told us already. */
const observed = (state: ConfigState, snapshot: Snapshot): ConfigState => {
  const newerIntent = !state.intent.known || (snapshot.intent?.version ?? 0) >= (state.intent.value?.version ?? 0);
  const newerSpec =
    !state.published.known || (snapshot.published?.generation ?? 0) >= (state.published.value?.generation ?? 0);
  return {
    ...(newerIntent ? withIntent(state, snapshot.intent) : state),
    records: snapshot.relations,
    intentStale: false,
    published: newerSpec ? known(snapshot.published) : state.published,
    verdict: newerSpec && !state.judging ? snapshot.verdict : state.verdict,
  };
};

const published = (state: ConfigState, outcome: WriteOutcome, written: Published | null, now: number): ConfigState =>
  isKept(outcome) && written !== null
    ? { ...state, publishing: false, published: known(written) }
    : { ...state, publishing: false, retryAt: now + retryMs };

const speak = (before: ConfigState, next: ConfigState, effects: readonly ConfigEffect[], now: number): Decided => {
  const tell: Send[] = [];
  let state = next;
  if (state.published.known) {
    const told = { published: state.published.value, verdict: state.verdict };
    if (
      state.told === null ||
      state.told.published?.generation !== told.published?.generation ||
      !same(state.told, told)
    ) {
      state = { ...state, told };
      tell.push(['workload', { type: 'generationTold', ...told }], ['client', { type: 'generationTold', ...told }]);
    }
  }
  const waits = waitsOf(before.waits, lacksOf(state), now);
  if (waits !== before.waits) {
    state = { ...state, waits };
    tell.push(['unit', { type: 'waitsTold', from: 'config', waits }]);
  }
  return { state, tell, effects };
};

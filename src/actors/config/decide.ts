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
import type { BackendFacts } from '../model/backend.ts';
import type { Change, ChangeOutcome } from '../model/change.ts';
import type { FleetSpec, Published, Verdict } from '../model/fleet-spec.ts';
import type { Generation, UnitName, WallMs } from '../model/ids.ts';
import type { Intent, Options } from '../model/intent.ts';
import { type Known, known, unknown } from '../model/known.ts';
import type { Leadership } from '../model/leadership.ts';
import { same } from '../model/same.ts';
import type { RelationRecord, Snapshot, UnitRecord } from '../model/snapshot.ts';
import { type Lack, type Wait, waitsOf } from '../model/waits.ts';
import type { ConfigMessage, ServedClient, WriteOutcome } from '../protocol.ts';
import { changeIntent } from './change.ts';
import { type Composed, compose } from './compose.ts';

export interface ConfigSettings {
  readonly self: UnitName;
  /** Whoever asked for a change is answered within this time. */
  readonly answerMs: number;
}

export type ConfigEffect =
  | { readonly type: 'changeIntent'; readonly intent: Intent }
  | {
      readonly type: 'publish';
      readonly leadership: Leadership;
      readonly after: Generation;
      readonly spec: FleetSpec;
      readonly intentVersion: number;
      readonly reason: string;
    }
  | { readonly type: 'judge'; readonly leadership: Leadership; readonly verdict: Verdict }
  | { readonly type: 'answer'; readonly request: string; readonly outcome: ChangeOutcome };

/** A change somebody waits for, as data: it is tried from the facts of the moment until it is answered. */
interface Asked {
  readonly request: string;
  readonly change: Change;
  readonly expected: number | null;
  readonly author: string;
  readonly reason: string;
  readonly wall: WallMs;
  readonly deadline: number;
}

export interface ConfigState {
  readonly intent: Known<Intent | null>;
  readonly published: Known<Published | null>;
  readonly verdict: Verdict;
  readonly records: readonly RelationRecord[];
  readonly units: Known<readonly UnitRecord[]>;
  readonly facts: Known<ReadonlyMap<string, BackendFacts>>;
  readonly clients: Known<readonly ServedClient[]>;
  readonly leadership: Leadership | null;
  readonly asked: readonly Asked[];
  /** The first of `asked` is being written as this intent. */
  readonly writing: Intent | null;
  /** The store's intent may be newer than what we know. */
  readonly intentStale: boolean;
  readonly publishing: boolean;
  readonly judging: boolean;
  readonly retryAt: number;
  readonly composed: Composed | null;
  readonly told: { readonly published: Published | null; readonly verdict: Verdict } | null;
  readonly waits: readonly Wait[];
}
type Decided = Decision<ConfigState, ConfigEffect>;

const retryMs = 500;
/** More than this many people changing one fleet at once is an accident. */
const mostAsked = 50;

export const initial: ConfigState = {
  intent: unknown,
  published: unknown,
  verdict: { covers: 0, good: null, refused: null },
  records: [],
  units: unknown,
  facts: unknown,
  clients: unknown,
  leadership: null,
  asked: [],
  writing: null,
  intentStale: false,
  publishing: false,
  judging: false,
  retryAt: 0,
  composed: null,
  told: null,
  waits: [],
};

export const decideWith =
  (settings: ConfigSettings) =>
  (state: ConfigState, message: ConfigMessage, now: number): Decided => {
    const effects: ConfigEffect[] = [];
    let next = absorb(settings, state, message, now, effects);
    next = serveAsked(next, now, effects);
    next = lead(settings, next, now, effects);
    return speak(state, next, effects, now);
  };

const absorb = (
  settings: ConfigSettings,
  state: ConfigState,
  message: ConfigMessage,
  now: number,
  effects: ConfigEffect[],
): ConfigState => {
  switch (message.type) {
    case 'observed':
      return observed(state, message.snapshot);
    case 'ticked':
      return state;
    case 'hooked':
      return { ...state, retryAt: now };
    case 'leadershipTold':
      return { ...state, leadership: message.leadership, retryAt: now };
    case 'backendsTold':
      return { ...state, facts: known(message.facts) };
    case 'rosterTold':
      return { ...state, units: known(message.units) };
    case 'clientsTold':
      return { ...state, clients: known(message.clients) };
    case 'changeAsked': {
      if (state.asked.length >= mostAsked) {
        const outcome = { kind: 'refused', reason: 'too many changes are asked for at once: try again' } as const;
        effects.push({ type: 'answer', request: message.request, outcome });
        return state;
      }
      const { type: _, ...asked } = message;
      return { ...state, asked: [...state.asked, { ...asked, deadline: now + settings.answerMs }] };
    }
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

const isKept = (outcome: WriteOutcome): boolean => outcome === 'committed' || outcome === 'staged';

/** A reading never takes back what an answered write has told us already. */
const observed = (state: ConfigState, snapshot: Snapshot): ConfigState => {
  const newerIntent = !state.intent.known || (snapshot.intent?.version ?? 0) >= (state.intent.value?.version ?? 0);
  const newerSpec =
    !state.published.known || (snapshot.published?.generation ?? 0) >= (state.published.value?.generation ?? 0);
  return {
    ...state,
    records: snapshot.relations,
    intent: newerIntent ? known(snapshot.intent) : state.intent,
    intentStale: false,
    published: newerSpec ? known(snapshot.published) : state.published,
    verdict: newerSpec && !state.judging ? snapshot.verdict : state.verdict,
  };
};

const intentAnswered = (
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

const published = (state: ConfigState, outcome: WriteOutcome, written: Published | null, now: number): ConfigState =>
  isKept(outcome) && written !== null
    ? { ...state, publishing: false, published: known(written) }
    : { ...state, publishing: false, retryAt: now + retryMs };

/** The oldest change asked for, from the facts of the moment; those whose deadline has passed are told so. */
const serveAsked = (state: ConfigState, now: number, effects: ConfigEffect[]): ConfigState => {
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
  const changed = changeIntent(intent, first.change, first, state.records);
  switch (changed.kind) {
    case 'changed': {
      const impossible = cannotFit(state, changed.intent);
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
  const tried = compose({
    options: intent.options,
    clients: [],
    facts: new Map(),
    units: state.units.value,
    current: null,
  });
  return tried.kind === 'refused' ? tried.reason : null;
};

const lead = (settings: ConfigSettings, before: ConfigState, now: number, effects: ConfigEffect[]): ConfigState => {
  const composed = composedFrom(before);
  const state = same(composed, before.composed) ? before : { ...before, composed };
  const { leadership, published: current } = state;
  if (leadership === null || !current.known || !state.intent.known || now < state.retryAt) return state;
  const intentVersion = state.intent.value?.version ?? 0;
  if (!state.publishing && composed?.kind === 'composed' && !same(composed.spec, current.value?.spec)) {
    const after = (current.value?.generation ?? 0) as Generation;
    const reason = reasonFor(state, composed.spec, settings);
    effects.push({ type: 'publish', leadership, after, spec: composed.spec, intentVersion, reason });
    return { ...state, publishing: true };
  }
  if (state.publishing || state.judging || !state.units.known) return state;
  const verdict = judged(state, composed, state.units.value);
  if (same(verdict, state.verdict)) return state;
  effects.push({ type: 'judge', leadership, verdict });
  return { ...state, judging: true };
};

/** Null while an input is unknown: whatever publishes, removes or shrinks needs all of them. */
const composedFrom = (state: ConfigState): Composed | null => {
  const { intent, published: current, units, facts, clients, leadership } = state;
  if (leadership === null) return null;
  if (!intent.known || !current.known || !units.known || !facts.known || !clients.known) return null;
  if (Object.keys(intent.value?.backends ?? {}).some((name) => !facts.value.has(name))) return null;
  return compose({
    options: optionsOf(intent.value, state.verdict),
    clients: clients.value,
    facts: facts.value,
    units: units.value,
    current: current.value?.spec ?? null,
  });
};

const optionsOf = (intent: Intent | null, { good, refused }: Verdict): Options =>
  refused !== null && intent !== null && refused.intentVersion === intent.version
    ? (good?.options ?? {})
    : (intent?.options ?? {});

const reasonFor = ({ published: current, intent }: ConfigState, spec: FleetSpec, { self }: ConfigSettings): string => {
  const before = current.known ? (current.value?.spec ?? null) : null;
  if (before === null) return `first fleet spec, composed by ${self}`;
  const asked = intent.known && intent.value !== null && intent.value.reason !== '' ? ` (${intent.value.reason})` : '';
  const parts = [
    same(before.options, spec.options) ? [] : [`options changed${asked}`],
    same(before.databases, spec.databases) ? [] : ['databases changed'],
    same(before.users, spec.users) ? [] : ['clients changed'],
    same(before.slots, spec.slots) ? [] : ['roster changed'],
  ];
  return parts.flat().join(', ');
};

/** What the acknowledgements say about the published generation. */
const judged = (state: ConfigState, composed: Composed | null, units: readonly UnitRecord[]): Verdict => {
  const { verdict, published: current, intent } = state;
  if (!current.known || current.value === null || !intent.known) return verdict;
  const { generation, intentVersion, spec } = current.value;
  const live = units.filter(({ presence }) => presence === 'live');
  const served = live.length > 0 && live.every(({ bag }) => bag?.applied === generation);
  const stands = composed?.kind === 'composed' && same(composed.spec, spec);
  const version = intent.value?.version ?? 0;
  const covers = stands ? Math.max(verdict.covers, intentVersion, version) : Math.max(verdict.covers, intentVersion);
  const refusal = live.find(({ bag }) => bag?.refused?.generation === generation);
  const isNew = intentVersion > (verdict.good?.intentVersion ?? -1) && verdict.refused?.intentVersion !== intentVersion;
  return {
    covers,
    good:
      served && stands && verdict.good?.generation !== generation
        ? {
            generation,
            intentVersion,
            options:
              verdict.refused?.intentVersion === version
                ? (verdict.good?.options ?? {})
                : (intent.value?.options ?? {}),
          }
        : verdict.good,
    refused:
      refusal?.bag?.refused && isNew
        ? { intentVersion, reason: `${refusal.unit}: ${refusal.bag.refused.reason}` }
        : verdict.refused !== null && verdict.refused.intentVersion < version
          ? null
          : verdict.refused,
  };
};

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

const lacksOf = (state: ConfigState): readonly Lack[] => {
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

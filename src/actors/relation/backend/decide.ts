/**
 * Facts of each backend: which endpoint is the primary, its version and limits, or why it cannot be used.
 *
 * States of a backend: unseen → looking → known (ready, away or blocked) → looking again in turns.
 * What moves it: the intent (which backends, how to reach them), the platform's hooks ("look again"), time.
 * Invariants: one look at a backend at a time; an answer about access that has changed meanwhile is dropped; what is not seen yet
 * is absent from what is told, never "away"; nothing is looked at before PgBouncer can run here.
 */
import type { Decision, Send } from '../../kit/behaviour.ts';
import { type Ailment, type BackendAccess, type BackendFacts, textOf } from '../../model/backend.ts';
import type { Intent } from '../../model/intent.ts';
import { type Known, known, unknown } from '../../model/known.ts';
import { same } from '../../model/same.ts';
import { lack } from '../../model/wait-catalogue.ts';
import { type Lack, type Wait, waitsOf } from '../../model/waits.ts';
import type { BackendMessage } from '../../protocol.ts';

export interface BackendSettings {
  /** How often the leader looks: it acts on what it sees. */
  readonly leaderLookMs: number;
  /** How often the others look: they only report. */
  readonly followerLookMs: number;
  /** How often they look at one that is not ready, or ails. */
  readonly healingLookMs: number;
}

export type BackendEffect = { readonly type: 'inspect'; readonly access: BackendAccess };

interface Watched {
  readonly access: BackendAccess;
  readonly facts: BackendFacts | null;
  readonly looking: boolean;
  readonly lookAt: number;
}

export interface BackendState {
  readonly watched: Known<ReadonlyMap<string, Watched>>;
  readonly leads: boolean;
  readonly workloadAvailable: boolean;
  readonly told: ReadonlyMap<string, BackendFacts> | null;
  readonly waits: readonly Wait[];
}
type ReadyFacts = Extract<BackendFacts, { kind: 'ready' }>;
type Decided = Decision<BackendState, BackendEffect>;

export const initial: BackendState = {
  watched: unknown,
  leads: false,
  workloadAvailable: false,
  told: null,
  waits: [],
};

export const decideWith =
  (settings: BackendSettings) =>
  (state: BackendState, message: BackendMessage, now: number): Decided =>
    speak(state, reconcile(absorb(settings, state, message, now), now), now);

const absorb = (settings: BackendSettings, state: BackendState, message: BackendMessage, now: number): BackendState => {
  switch (message.type) {
    case 'observed':
      return {
        ...state,
        watched: known(watch(state.watched.known ? state.watched.value : new Map(), message.snapshot.intent, now)),
      };
    case 'ticked':
      return state;
    case 'hooked':
      return everyWatched(state, (watched) => ({ ...watched, lookAt: now }));
    case 'leadershipTold': {
      const leads = message.leadership !== null;
      return leads && !state.leads
        ? { ...everyWatched(state, (watched) => ({ ...watched, lookAt: now })), leads }
        : { ...state, leads };
    }
    case 'workloadTold':
      return { ...state, workloadAvailable: message.report.available };
    case 'backendInspected': {
      const watched = state.watched.known ? state.watched.value.get(message.name) : undefined;
      if (watched === undefined) return state;
      // Access changed while we looked: what was seen is about another backend.
      const facts = same(watched.access, message.access) ? message.facts : watched.facts;
      const interval = intervalOf(settings, state, message.facts);
      const next = { ...watched, facts, looking: false, lookAt: facts === message.facts ? now + interval : now };
      return {
        ...state,
        watched: known(new Map(state.watched.known ? state.watched.value : []).set(message.name, next)),
      };
    }
  }
};

/** Who only reports looks more often while something is wrong: its end is news, too. */
const intervalOf = (settings: BackendSettings, { leads }: BackendState, facts: BackendFacts): number => {
  if (leads) return settings.leaderLookMs;
  return facts.kind === 'ready' && facts.ailments.length === 0 ? settings.followerLookMs : settings.healingLookMs;
};

const watch = (
  before: ReadonlyMap<string, Watched>,
  intent: Intent | null,
  now: number,
): ReadonlyMap<string, Watched> =>
  new Map(
    Object.entries(intent?.backends ?? {}).map(([name, { endpoints, username, password, maintenanceDatabase }]) => {
      const access: BackendAccess = { name, endpoints, username, password, maintenanceDatabase };
      const earlier = before.get(name);
      if (earlier === undefined) return [name, { access, facts: null, looking: false, lookAt: now }];
      return same(earlier.access, access)
        ? [name, earlier]
        : [name, { access, facts: null, looking: earlier.looking, lookAt: now }];
    }),
  );

const everyWatched = (state: BackendState, change: (watched: Watched) => Watched): BackendState =>
  state.watched.known
    ? { ...state, watched: known(new Map([...state.watched.value].map(([name, watched]) => [name, change(watched)]))) }
    : state;

const reconcile = (state: BackendState, now: number): Decided => {
  if (!state.watched.known || !state.workloadAvailable) return { state };
  const due = [...state.watched.value.values()].filter(({ looking, lookAt }) => !looking && now >= lookAt);
  if (due.length === 0) return { state };
  const watched = new Map(state.watched.value);
  for (const one of due) watched.set(one.access.name, { ...one, looking: true });
  return {
    state: { ...state, watched: known(watched) },
    effects: due.map(({ access }) => ({ type: 'inspect', access })),
  };
};

const speak = (before: BackendState, decided: Decided, now: number): Decided => {
  let { state } = decided;
  const tell: Send[] = [];
  const facts = factsOf(state);
  if (facts !== null && (before.told === null || !same(facts, before.told))) {
    state = { ...state, told: facts };
    const fact = { type: 'backendsTold', facts } as const;
    tell.push(['config', fact], ['client', fact]);
  }
  const waits = waitsOf(before.waits, lacksOf(state), now);
  if (waits !== before.waits) {
    state = { ...state, waits };
    tell.push(['unit', { type: 'waitsTold', from: 'backend', waits }]);
  }
  return { ...decided, state, tell };
};

const factsOf = ({ watched }: BackendState): ReadonlyMap<string, BackendFacts> | null =>
  watched.known
    ? new Map([...watched.value].flatMap(([name, { facts }]) => (facts === null ? [] : [[name, facts] as const])))
    : null;

const lackOf = (name: string, { primary, maxConnections }: ReadyFacts, ailment: Ailment): Lack => {
  const server = { name, primary: textOf(primary) };
  switch (ailment) {
    case 'readOnly':
      return lack.backendReadOnly(server);
    case 'full':
      return lack.backendFull({ ...server, maxConnections });
  }
};

const lacksOf = ({ watched, workloadAvailable }: BackendState): readonly Lack[] =>
  watched.known
    ? [...watched.value].flatMap(([name, { facts }]): readonly Lack[] => {
        if (!workloadAvailable) return [lack.backendUnlooked({ name })];
        if (facts === null) return [lack.backendLooking({ name })];
        if (facts.kind === 'ready') return facts.ailments.map((ailment) => lackOf(name, facts, ailment));
        const { reason } = facts;
        return [facts.kind === 'away' ? lack.backendAway({ name, reason }) : lack.backendUnfit({ name, reason })];
      })
    : [];

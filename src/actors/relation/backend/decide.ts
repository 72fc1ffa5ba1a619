/**
 * Facts of each backend: which endpoint is the primary, its version and limits, or why it cannot be used.
 *
 * States of a backend: unseen → looking → known (ready, away or blocked) → looking again in turns.
 * What moves it: the intent (which backends, how to reach them), the platform's hooks ("look again"), time.
 * Invariants: one look at a backend at a time; an answer about access that has changed meanwhile is dropped; what is not seen yet
 * is absent from what is told, never "away", and a new leader has seen nothing yet; a cluster that is not the one served so far is
 * told as blocked, so that nobody acts on it; nothing is looked at before PgBouncer can run here.
 */
import type { Decision, Send } from '../../kit/behaviour.ts';
import { type Ailment, type BackendAccess, type BackendFacts, heldOff, textOf } from '../../model/backend.ts';
import type { Epoch } from '../../model/ids.ts';
import type { Intent } from '../../model/intent.ts';
import { type Known, known, unknown } from '../../model/known.ts';
import { same } from '../../model/same.ts';
import { lack } from '../../model/wait-catalogue.ts';
import { type Lack, type Wait, waitsOf } from '../../model/waits.ts';
import type { BackendMessage, BackendsTold } from '../../protocol.ts';

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
  /** System identifier of the cluster that may take the place of the one served. */
  readonly accepted: string | null;
  readonly facts: BackendFacts | null;
  /** Looked at since this unit leads: a leader does not act on what it saw as a follower. */
  readonly isFresh: boolean;
  readonly looking: boolean;
  readonly lookAt: number;
}

export interface BackendState {
  readonly watched: Known<ReadonlyMap<string, Watched>>;
  /** The cluster that each backend was when it was first served. */
  readonly served: ReadonlyMap<string, string>;
  /** Null: this unit does not lead. */
  readonly leads: Epoch | null;
  readonly workloadAvailable: boolean;
  readonly told: Omit<BackendsTold, 'type'> | null;
  readonly waits: readonly Wait[];
}
type ReadyFacts = Extract<BackendFacts, { kind: 'ready' }>;
type Decided = Decision<BackendState, BackendEffect>;

export const initial: BackendState = {
  watched: unknown,
  served: new Map(),
  leads: null,
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
        served: new Map(message.snapshot.published?.spec.backends.map(({ name, systemId }) => [name, systemId])),
      };
    case 'ticked':
      return state;
    case 'hooked':
      return everyWatched(state, (watched) => ({ ...watched, lookAt: now }));
    case 'leadershipTold': {
      const leads = message.leadership?.epoch ?? null;
      return leads !== null && leads !== state.leads
        ? { ...everyWatched(state, (watched) => ({ ...watched, isFresh: false, lookAt: now })), leads }
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
      const next = {
        ...watched,
        facts,
        isFresh: true,
        looking: false,
        lookAt: facts === message.facts ? now + interval : now,
      };
      return {
        ...state,
        watched: known(new Map(state.watched.known ? state.watched.value : []).set(message.name, next)),
      };
    }
  }
};

/** Who only reports looks more often while something is wrong: its end is news, too. */
const intervalOf = (settings: BackendSettings, { leads }: BackendState, facts: BackendFacts): number => {
  if (leads !== null) return settings.leaderLookMs;
  return facts.kind === 'ready' && facts.ailments.length === 0 ? settings.followerLookMs : settings.healingLookMs;
};

const watch = (
  before: ReadonlyMap<string, Watched>,
  intent: Intent | null,
  now: number,
): ReadonlyMap<string, Watched> =>
  new Map(
    Object.entries(intent?.backends ?? {}).map(([name, { cluster: accepted, ...backend }]) => {
      const { endpoints, username, password, maintenanceDatabase } = backend;
      const access: BackendAccess = { name, endpoints, username, password, maintenanceDatabase };
      const earlier = before.get(name);
      if (earlier !== undefined && same(earlier.access, access)) return [name, { ...earlier, accepted }];
      const looking = earlier?.looking ?? false;
      return [name, { access, accepted, facts: null, isFresh: false, looking, lookAt: now }];
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
  const told = facts === null ? null : { facts, under: state.leads };
  if (told !== null && !same(told, before.told)) {
    state = { ...state, told };
    const fact = { type: 'backendsTold', ...told } as const;
    tell.push(['config', fact], ['client', fact], ['peers', fact], ['unit', fact]);
  }
  const waits = waitsOf(before.waits, lacksOf(state), now);
  if (waits !== before.waits) {
    state = { ...state, waits };
    tell.push(['unit', { type: 'waitsTold', from: 'backend', waits }]);
  }
  return { ...decided, state, tell };
};

const factsOf = ({ watched, served }: BackendState): ReadonlyMap<string, BackendFacts> | null =>
  watched.known
    ? new Map(
        [...watched.value].flatMap(([name, one]) => {
          const facts = one.isFresh ? seenOf(one, served) : null;
          return facts === null ? [] : [[name, facts] as const];
        }),
      )
    : null;

const seenOf = ({ access, accepted, facts }: Watched, served: BackendState['served']): BackendFacts | null =>
  facts === null ? null : heldOff(facts, served.get(access.name), accepted);

const lackOf = (name: string, { primary, maxConnections }: ReadyFacts, ailment: Ailment): Lack => {
  const server = { name, primary: textOf(primary) };
  switch (ailment) {
    case 'readOnly':
      return lack.backendReadOnly(server);
    case 'full':
      return lack.backendFull({ ...server, maxConnections });
  }
};

const lacksOf = ({ watched, served, workloadAvailable }: BackendState): readonly Lack[] =>
  watched.known
    ? [...watched.value].flatMap(([name, one]): readonly Lack[] => {
        const facts = seenOf(one, served);
        if (!workloadAvailable) return [lack.backendUnlooked({ name })];
        if (facts === null) return [lack.backendLooking({ name })];
        if (facts.kind === 'ready') return facts.ailments.map((ailment) => lackOf(name, facts, ailment));
        const { reason } = facts;
        return [facts.kind === 'away' ? lack.backendAway({ name, reason }) : lack.backendUnfit({ name, reason })];
      })
    : [];

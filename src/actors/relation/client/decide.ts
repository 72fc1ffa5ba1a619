/**
 * All client relations, in one map by relation id.
 *
 * Life of a relation: alive (the intent names it) → dying (only our record is left) → gone (the record is removed).
 * Steps of a living one, each from facts: account minted → recorded → backend fenced → database → login → recorded as provisioned
 * → served by every live unit → databag published. A dying one: login dropped in PostgreSQL → record removed.
 * What moves it: the snapshot (intent and records), leadership, backend facts, generation and acknowledgements, answers, time.
 * Invariants: only a leader acts, and everything it does carries that leadership; nothing is removed unless the snapshot and the
 * backend are known; one step at a time per backend and per relation; each step may be repeated; a decision that throws
 * quarantines its relation and no other. `config` is always told the whole map.
 */
import type { Decision, Send } from '../../kit/behaviour.ts';
import type { BackendAccess, BackendFacts, BackendServer, PostgresStep, TaggedLogin } from '../../model/backend.ts';
import type { Published } from '../../model/fleet-spec.ts';
import type { Application, Epoch, RelationId } from '../../model/ids.ts';
import type { Intent } from '../../model/intent.ts';
import { type Known, known, unknown } from '../../model/known.ts';
import type { Leadership } from '../../model/leadership.ts';
import { same } from '../../model/same.ts';
import type { RelationRecord, UnitRecord } from '../../model/snapshot.ts';
import { type Lack, type Wait, waitsOf } from '../../model/waits.ts';
import type { ClientMessage, ServedClient } from '../../protocol.ts';
import { usernameOf } from './databag.ts';
import { laggards, type NextStep, nextStep, type Progress } from './next-step.ts';
import { type Relation, relationsOf } from './relations.ts';

export interface ClientSettings {
  readonly application: Application;
  /** Credentials are published without units that have not acknowledged by then. */
  readonly laggardMs: number;
  /** How often the leader looks for tagged logins that have no relation. */
  readonly sweepMs: number;
}

export type ClientEffect =
  | { readonly type: 'mint'; readonly id: RelationId; readonly username: string }
  | { readonly type: 'writeRecord'; readonly leadership: Leadership; readonly record: RelationRecord }
  | { readonly type: 'removeRecord'; readonly leadership: Leadership; readonly id: RelationId }
  | {
      readonly type: 'postgres';
      readonly leadership: Leadership;
      readonly access: BackendAccess;
      readonly primary: BackendServer;
      readonly relation: RelationId | null;
      readonly step: PostgresStep;
    }
  | { readonly type: 'listTagged'; readonly access: BackendAccess; readonly primary: BackendServer };

/** What this process did for a backend under its present leadership. */
interface BackendWork {
  readonly fencedUnder: Epoch | null;
  readonly busy: boolean;
  readonly sweepAt: number;
  readonly orphans: readonly TaggedLogin[];
  readonly trouble: Trouble | null;
}
interface Trouble {
  readonly kind: 'waiting' | 'blocked';
  readonly reason: string;
  readonly attempt: number;
  readonly retryAt: number;
}
interface Work extends Progress {
  readonly busy: boolean;
  readonly trouble: Trouble | null;
  /** A defect in deciding about this relation; it is left alone until this process ends. */
  readonly quarantine: string | null;
}

export interface ClientState {
  readonly intent: Known<Intent | null>;
  readonly records: ReadonlyMap<RelationId, RelationRecord>;
  readonly leadership: Leadership | null;
  readonly facts: ReadonlyMap<string, BackendFacts>;
  readonly published: Published | null;
  readonly units: readonly UnitRecord[];
  readonly work: ReadonlyMap<RelationId, Work>;
  readonly backends: ReadonlyMap<string, BackendWork>;
  readonly told: readonly ServedClient[] | null;
  readonly waits: readonly Wait[];
}
type Decided = Decision<ClientState, ClientEffect>;

export const initial: ClientState = {
  intent: unknown,
  records: new Map(),
  leadership: null,
  facts: new Map(),
  published: null,
  units: [],
  work: new Map(),
  backends: new Map(),
  told: null,
  waits: [],
};
const noWork: Work = {
  account: null,
  databaseReady: false,
  loginReady: false,
  loginDropped: false,
  lateSince: null,
  busy: false,
  trouble: null,
  quarantine: null,
};
const noBackendWork: BackendWork = { fencedUnder: null, busy: false, sweepAt: 0, orphans: [], trouble: null };

export const decideWith =
  (settings: ClientSettings) =>
  (state: ClientState, message: ClientMessage, now: number): Decided => {
    const absorbed = absorb(settings, state, message, now);
    const effects: ClientEffect[] = [];
    const lacks: Lack[] = [];
    const { leadership } = absorbed;
    let next = absorbed;
    if (leadership !== null && next.intent.known) {
      next = eachRelation(settings, next, leadership, now, effects, lacks);
      next = eachBackend(next, leadership, now, effects, lacks);
    }
    return speak(state, next, effects, lacks, now);
  };

const absorb = (settings: ClientSettings, state: ClientState, message: ClientMessage, now: number): ClientState => {
  switch (message.type) {
    case 'observed': {
      const records = new Map(message.snapshot.relations.map((record) => [record.id, record] as const));
      return { ...state, intent: known(message.snapshot.intent), records };
    }
    case 'ticked':
      return state;
    case 'hooked':
      return withoutBackOff(state, now);
    case 'leadershipTold':
      // What an earlier leadership did here may have been undone since: every step is looked at again.
      return { ...state, leadership: message.leadership, work: new Map(), backends: new Map() };
    case 'backendsTold':
      return { ...state, facts: message.facts };
    case 'generationTold':
      return { ...state, published: message.published };
    case 'rosterTold':
      return { ...state, units: message.units };
    case 'minted':
      return setWork(state, message.id, { busy: false, account: message.account });
    case 'recordAnswered':
      return message.outcome === 'committed' || message.outcome === 'staged'
        ? {
            ...setWork(state, message.record.id, { busy: false, trouble: null }),
            records: new Map(state.records).set(message.record.id, message.record),
          }
        : troubled(
            state,
            message.record.id,
            'waiting',
            `our side of the relation could not be written (${message.outcome})`,
            now,
          );
    case 'recordRemoved': {
      if (message.outcome !== 'committed' && message.outcome !== 'staged')
        return troubled(
          state,
          message.id,
          'waiting',
          `the removed relation could not be forgotten yet (${message.outcome})`,
          now,
        );
      const records = new Map(state.records);
      const work = new Map(state.work);
      records.delete(message.id);
      work.delete(message.id);
      return sweepSoon({ ...state, records, work }, now);
    }
    case 'postgresAnswered':
      return postgresAnswered(state, message, now);
    case 'taggedListed': {
      const sweepAt = now + (message.logins === null ? 5_000 : settings.sweepMs);
      return setBackend(state, message.backend, { busy: false, sweepAt, orphans: message.logins ?? [] });
    }
  }
};

const setWork = (state: ClientState, id: RelationId, change: Partial<Work>): ClientState => ({
  ...state,
  work: new Map(state.work).set(id, { ...(state.work.get(id) ?? noWork), ...change }),
});
const setBackend = (state: ClientState, name: string, change: Partial<BackendWork>): ClientState => ({
  ...state,
  backends: new Map(state.backends).set(name, { ...(state.backends.get(name) ?? noBackendWork), ...change }),
});

/** A step that was given up may still arrive in PostgreSQL after its undoing: what it leaves is looked for soon. */
const sweepSoon = (state: ClientState, now: number): ClientState => ({
  ...state,
  backends: new Map(
    [...state.backends].map(([name, work]) => [name, { ...work, sweepAt: Math.min(work.sweepAt, now + soonMs) }]),
  ),
});
const soonMs = 10_000;

const longestBackOffMs = 15_000;
const troubleAfter = (before: Trouble | null, kind: Trouble['kind'], reason: string, now: number): Trouble => {
  const attempt = (before?.attempt ?? 0) + 1;
  return { kind, reason, attempt, retryAt: now + Math.min(500 * 2 ** (attempt - 1), longestBackOffMs) };
};
const troubled = (
  state: ClientState,
  id: RelationId,
  kind: Trouble['kind'],
  reason: string,
  now: number,
): ClientState =>
  setWork(state, id, { busy: false, trouble: troubleAfter(state.work.get(id)?.trouble ?? null, kind, reason, now) });

const withoutBackOff = (state: ClientState, now: number): ClientState => ({
  ...state,
  work: new Map(
    [...state.work].map(([id, work]) => [
      id,
      work.trouble === null ? work : { ...work, trouble: { ...work.trouble, retryAt: now } },
    ]),
  ),
});

type PostgresAnswered = Extract<ClientMessage, { type: 'postgresAnswered' }>;
const postgresAnswered = (before: ClientState, message: PostgresAnswered, now: number): ClientState => {
  const { backend, relation, step, outcome, epoch } = message;
  if (before.leadership?.epoch !== epoch) return before; // Asked under another leadership.
  const state = setBackend(before, backend, { busy: false });
  const reason = outcome.kind === 'done' ? '' : reasonOf(outcome);
  const kind = outcome.kind === 'refused' ? 'blocked' : 'waiting';
  if (step === 'raiseFence') {
    if (outcome.kind === 'done') return setBackend(state, backend, { fencedUnder: epoch, trouble: null });
    return setBackend(state, backend, {
      trouble: troubleAfter(state.backends.get(backend)?.trouble ?? null, kind, reason, now),
    });
  }
  if (relation === null)
    return setBackend(state, backend, { orphans: (state.backends.get(backend)?.orphans ?? []).slice(1) });
  if (outcome.kind !== 'done') {
    const unfenced = outcome.kind === 'fenced' ? setBackend(state, backend, { fencedUnder: null }) : state;
    return troubled(unfenced, relation, kind, reason, now);
  }
  switch (step) {
    case 'ensureDatabase':
      return setWork(state, relation, { busy: false, trouble: null, databaseReady: true });
    case 'ensureLogin':
      return setWork(state, relation, { busy: false, trouble: null, loginReady: true });
    case 'dropLogin':
      return setWork(state, relation, { busy: false, trouble: null, loginDropped: true });
  }
};

const reasonOf = (outcome: Exclude<PostgresAnswered['outcome'], { kind: 'done' }>): string =>
  outcome.kind === 'fenced' ? 'a newer leader has acted on this backend' : outcome.reason;

const eachRelation = (
  settings: ClientSettings,
  before: ClientState,
  leadership: Leadership,
  now: number,
  effects: ClientEffect[],
  lacks: Lack[],
): ClientState => {
  let state = before;
  for (const relation of relationsOf(state.intent.known ? state.intent.value : null, state.records))
    state = guarded(settings, state, relation, leadership, now, effects, lacks);
  return state;
};

/** A defect in deciding about one relation must not stop the others: it is left alone, and says so. */
const guarded = (
  settings: ClientSettings,
  state: ClientState,
  relation: Relation,
  leadership: Leadership,
  now: number,
  effects: ClientEffect[],
  lacks: Lack[],
): ClientState => {
  const { quarantine } = state.work.get(relation.id) ?? noWork;
  if (quarantine !== null) {
    lacks.push(lackOf(relation, 'quarantine', 'blocked', quarantine, 'operator'));
    return state;
  }
  try {
    return forRelation(settings, state, relation, leadership, now, effects, lacks);
  } catch (defect) {
    const what = defect instanceof Error ? defect.message : String(defect);
    const incident = `relation-${relation.id}-${Math.round(now)}`;
    const reason = `client "${relation.name}" is quarantined after a defect (incident ${incident}: ${what}); the others are served: restart this unit to try again, and report the incident`;
    lacks.push(lackOf(relation, 'quarantine', 'blocked', reason, 'operator'));
    return setWork(state, relation.id, { quarantine: reason });
  }
};

const forRelation = (
  settings: ClientSettings,
  before: ClientState,
  relation: Relation,
  leadership: Leadership,
  now: number,
  effects: ClientEffect[],
  lacks: Lack[],
): ClientState => {
  const { id, backend } = relation;
  const late = before.published !== null && laggards(before.units, before.published).length > 0;
  const known = before.work.get(id) ?? noWork;
  const work: Work = { ...known, lateSince: late ? (known.lateSince ?? now) : null };
  const state = same(work, known) ? before : setWork(before, id, work);
  const backendWork = state.backends.get(backend) ?? noBackendWork;
  const step = nextStep(
    relation,
    work,
    {
      facts: state.facts.get(backend),
      fenced: backendWork.fencedUnder === leadership.epoch,
      published: state.published,
      units: state.units,
      laggardMs: settings.laggardMs,
    },
    now,
  );
  const { trouble } = work;
  // A step that went wrong, or whose answer was lost, and that the facts no longer ask for: the trouble is over.
  if (trouble !== null && (step.type === 'nothing' || step.type === 'wait'))
    return take(settings, setWork(state, id, { trouble: null }), relation, step, leadership, now, effects, lacks);
  if (trouble !== null) {
    const message = `client "${relation.name}": ${trouble.reason}`;
    lacks.push(lackOf(relation, 'trouble', trouble.kind, message, on(trouble, backend)));
  }
  if (work.busy || (trouble !== null && now < trouble.retryAt)) return state;
  return take(settings, state, relation, step, leadership, now, effects, lacks);
};

const take = (
  settings: ClientSettings,
  state: ClientState,
  relation: Relation,
  step: NextStep,
  leadership: Leadership,
  now: number,
  effects: ClientEffect[],
  lacks: Lack[],
): ClientState => {
  const { id, name, backend } = relation;
  switch (step.type) {
    case 'nothing':
      return state;
    case 'wait':
      lacks.push(lackOf(relation, step.for, 'waiting', step.message, step.on));
      return state;
    case 'mint':
      effects.push({ type: 'mint', id, username: usernameOf(settings.application, name, id) });
      return setWork(state, id, { busy: true });
    case 'record':
      effects.push({ type: 'writeRecord', leadership, record: step.record });
      return setWork(state, id, { busy: true });
    case 'forget':
      effects.push({ type: 'removeRecord', leadership, id });
      return setWork(state, id, { busy: true });
    case 'fence':
    case 'postgres': {
      const access = accessOf(state, backend);
      const work = state.backends.get(backend) ?? noBackendWork;
      const resting = work.trouble !== null && now < work.trouble.retryAt;
      lacks.push(
        lackOf(
          relation,
          'provision',
          'waiting',
          `client "${name}" is being ${relation.life === 'alive' ? 'provisioned' : 'removed'} on backend "${backend}"`,
          `backend:${backend}`,
        ),
      );
      if (access === null || work.busy || resting) return state;
      const { primary } = step;
      if (step.type === 'fence') {
        effects.push({ type: 'postgres', leadership, access, primary, relation: null, step: { type: 'raiseFence' } });
        return setBackend(state, backend, { busy: true });
      }
      effects.push({ type: 'postgres', leadership, access, primary, relation: id, step: step.step });
      return setBackend(setWork(state, id, { busy: true }), backend, { busy: true });
    }
  }
};

const accessOf = ({ intent }: ClientState, name: string): BackendAccess | null => {
  const backend = intent.known ? intent.value?.backends[name] : undefined;
  if (backend === undefined) return null;
  const { endpoints, username, password, maintenanceDatabase } = backend;
  return { name, endpoints, username, password, maintenanceDatabase };
};

const lackOf = ({ name }: Relation, what: string, kind: Lack['kind'], message: string, whom: string): Lack => ({
  id: `client:${name}:${what}`,
  kind,
  message,
  on: whom,
});
const on = ({ kind }: Trouble, backend: string): string => (kind === 'blocked' ? 'operator' : `backend:${backend}`);

/** Work of the backend itself: troubles with the fence, and logins of ours that belong to no relation any more. */
const eachBackend = (
  before: ClientState,
  leadership: Leadership,
  now: number,
  effects: ClientEffect[],
  lacks: Lack[],
): ClientState => {
  let state = before;
  const intent = state.intent.known ? state.intent.value : null;
  for (const name of Object.keys(intent?.backends ?? {})) {
    const work = state.backends.get(name) ?? noBackendWork;
    const facts = state.facts.get(name);
    const access = accessOf(state, name);
    const { trouble } = work;
    if (trouble !== null)
      lacks.push({
        id: `backend:${name}:fence`,
        kind: trouble.kind,
        message: `backend "${name}": ${trouble.reason}`,
        on: on(trouble, name),
      });
    if (work.busy || facts?.kind !== 'ready' || access === null || intent === null) continue;
    if (work.fencedUnder !== leadership.epoch) {
      if (trouble !== null && now < trouble.retryAt) continue;
      effects.push({
        type: 'postgres',
        leadership,
        access,
        primary: facts.primary,
        relation: null,
        step: { type: 'raiseFence' },
      });
      state = setBackend(state, name, { busy: true });
      continue;
    }
    state = sweep(state, intent, { access, primary: facts.primary, leadership }, work, now, effects);
  }
  return state;
};

/** What a crash between two writes may leave in PostgreSQL: found by its tag, dropped when no relation and no record has it. */
const sweep = (
  state: ClientState,
  intent: Intent,
  {
    access,
    primary,
    leadership,
  }: { readonly access: BackendAccess; readonly primary: BackendServer; readonly leadership: Leadership },
  work: BackendWork,
  now: number,
  effects: ClientEffect[],
): ClientState => {
  const ids = new Set(relationsOf(intent, state.records).map(({ id }): number => id));
  // An id that we have not given out yet is not ours to judge.
  const [orphan, ...rest] = work.orphans.filter(({ relation }) => !ids.has(relation) && relation < intent.nextRelation);
  if (orphan !== undefined) {
    const step: PostgresStep = { type: 'dropLogin', relation: orphan.relation, username: orphan.username };
    effects.push({ type: 'postgres', leadership, access, primary, relation: null, step });
    return setBackend(state, access.name, { busy: true, orphans: [orphan, ...rest] });
  }
  if (now < work.sweepAt) return state;
  effects.push({ type: 'listTagged', access, primary });
  return setBackend(state, access.name, { busy: true, orphans: [] });
};

const speak = (
  before: ClientState,
  next: ClientState,
  effects: readonly ClientEffect[],
  lacks: readonly Lack[],
  now: number,
): Decided => {
  const tell: Send[] = [];
  let state = next;
  if (state.intent.known) {
    const clients = servedOf(state);
    if (!same(clients, state.told)) {
      state = { ...state, told: clients };
      tell.push(['config', { type: 'clientsTold', clients }]);
    }
  }
  const waits = waitsOf(before.waits, lacks, now);
  if (waits !== before.waits) {
    state = { ...state, waits };
    tell.push(['unit', { type: 'waitsTold', from: 'client', waits }]);
  }
  return { state, tell, effects };
};

/** Relations that the fleet must serve: alive, and confirmed by PostgreSQL. */
const servedOf = (state: ClientState): readonly ServedClient[] =>
  relationsOf(state.intent.known ? state.intent.value : null, state.records).flatMap(
    ({ id, name, database, backend, life, record }) =>
      life === 'alive' && record?.provisioned === true
        ? [{ id, name, database, backend, account: record.account }]
        : [],
  );

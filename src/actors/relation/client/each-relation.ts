import type { RelationId } from '../../model/ids.ts';
import { unreadableIn } from '../../model/intent.ts';
import { same } from '../../model/same.ts';
import { lack } from '../../model/wait-catalogue.ts';
import type { Lack } from '../../model/waits.ts';
import { lookupNameOf, usernameOf } from './databag.ts';
import { laggards, makesLogins, type NextStep, nextStep } from './next-step.ts';
import { type Relation, relationsOf } from './relations.ts';
import {
  type BackendWork,
  type ClientState,
  noBackendWork,
  noWork,
  setBackend,
  setWork,
  type Trouble,
  type Work,
} from './state.ts';
import { accessOf, factsIn, type Turn } from './turn.ts';

/** Every relation by itself, in order of their ids. */
export const eachRelation = (turn: Turn, before: ClientState): ClientState => {
  let state = before;
  for (const relation of relationsOf(state.intent.known ? state.intent.value : null, state.records))
    state = relation.life === 'held' || state.damaged.has(relation.id) ? state : guarded(turn, state, relation);
  for (const [id, reason] of state.damaged) turn.lacks.push(lack.clientRecord({ name: nameOf(state, id), id, reason }));
  return state;
};

/** For people: the operator's word, or ours of earlier. */
const nameOf = ({ intent, records }: ClientState, id: RelationId): string => {
  const clients = Object.entries((intent.known ? intent.value?.clients : null) ?? {});
  return clients.find(([, client]) => client.id === id)?.[0] ?? records.get(id)?.name ?? `relation-${id}`;
};

/** A defect in deciding about one relation must not stop the others: it is left alone, and says so. */
const guarded = (turn: Turn, state: ClientState, relation: Relation): ClientState => {
  const { lacks, now } = turn;
  const { name } = relation;
  const { quarantine } = state.work.get(relation.id) ?? noWork;
  if (quarantine !== null) {
    lacks.push(lack.clientQuarantine({ name, ...quarantine }));
    return state;
  }
  try {
    return forRelation(turn, state, relation);
  } catch (defect) {
    const first = {
      incident: `relation-${relation.id}-${Math.round(now)}`,
      defect: defect instanceof Error ? defect.message : String(defect),
    };
    lacks.push(lack.clientQuarantine({ name, ...first }));
    return setWork(state, relation.id, { quarantine: first });
  }
};

const forRelation = (turn: Turn, told: ClientState, relation: Relation): ClientState => {
  const { settings, leadership, now, lacks } = turn;
  const { id, name, backend } = relation;
  const late = told.published !== null && laggards(told.units, told.published).length > 0;
  const before = late ? told : caughtUp(told, name);
  const known = before.work.get(id) ?? noWork;
  const recalled = before.recalledSince.get(lack.clientNowhere({ name }).id) ?? now;
  const work: Work = { ...known, lateSince: late ? (known.lateSince ?? recalled) : null };
  const state = same(work, known) ? before : setWork(before, id, work);
  const backendWork = state.backends.get(backend) ?? noBackendWork;
  const step = nextStep(
    relation,
    work,
    {
      facts: factsIn(state, turn, backend),
      isBackendGone: isBackendGone(state, backend),
      fenced: backendWork.fencedUnder === leadership.epoch,
      published: state.published,
      units: state.units,
      laggardMs: settings.laggardMs,
      endpoints: settings.endpoints,
      finding: backendWork.findings.find((finding) => finding.relation === id) ?? null,
      lost: lostDatabaseOf(state, relation, backendWork),
      makersLeft: makersLeft(state, relation),
      inherited: state.inherited.get(id) ?? null,
      refused: work.trouble?.kind === 'blocked',
    },
    now,
  );
  const { trouble } = work;
  // A step that went wrong, or whose answer was lost, and that the facts no longer ask for: the trouble is over.
  if (trouble !== null && (step.type === 'nothing' || step.type === 'wait'))
    return take(turn, setWork(state, id, { trouble: null }), relation, step);
  if (trouble !== null) {
    lacks.push(lackOf(trouble, name, backend));
  }
  if (work.busy || (trouble !== null && now < trouble.retryAt)) return state;
  return take(turn, state, relation, step);
};

/** A recalled instant belongs to the delay that has lasted since then; a later one has its own. */
const caughtUp = (state: ClientState, name: string): ClientState => {
  const { id } = lack.clientNowhere({ name });
  if (!state.recalledSince.has(id) || state.published === null || state.units.length === 0) return state;
  return { ...state, recalledSince: new Map([...state.recalledSince].filter(([one]) => one !== id)) };
};

const lackOf = ({ kind, reason }: Trouble, name: string, backend: string): Lack => {
  switch (kind) {
    case 'unkept':
      return lack.clientUnkept({ name, reason });
    case 'waiting':
      return lack.clientTrouble({ name, backend, reason });
    case 'blocked':
      return lack.clientRefused({ name, backend, reason });
  }
};

const isBackendGone = ({ intent }: ClientState, name: string): boolean =>
  intent.known &&
  intent.value !== null &&
  intent.value.backends[name] === undefined &&
  unreadableIn(intent.value, 'backends', name) === undefined;

/** Whether another client makes logins of its own in the same database. */
const makersLeft = ({ intent }: ClientState, { id, database, backend }: Relation): boolean =>
  Object.values((intent.known ? intent.value?.clients : null) ?? {}).some(
    (other) => other.id !== id && other.database === database && other.backend === backend && makesLogins(other),
  );

/** Another client of the same database misses it. */
const lostDatabaseOf = (state: ClientState, { id, database }: Relation, { findings }: BackendWork): string | null => {
  const others = findings.filter(({ relation }) => relation !== id && databaseOf(state, relation) === database);
  return others.find((finding) => finding.kind === 'lost')?.reason ?? null;
};
const databaseOf = ({ records }: ClientState, relation: number): string | undefined =>
  records.get(relation as RelationId)?.database;

const take = (turn: Turn, state: ClientState, relation: Relation, step: NextStep): ClientState => {
  const { settings, leadership, now, effects, lacks } = turn;
  const { id, name, backend, life } = relation;
  switch (step.type) {
    case 'nothing':
      return state;
    case 'wait':
      lacks.push(step.lack);
      return state;
    case 'mint':
      effects.push(
        step.lookup
          ? { type: 'mint', id, username: lookupNameOf(settings.application, name, id), lookup: true }
          : { type: 'mint', id, username: usernameOf(settings.application, name, id) },
      );
      return setWork(state, id, { busy: true });
    case 'keep': {
      const { username, password } = step.inherited;
      effects.push({ type: 'keep', id, username, password });
      return setWork(state, id, { busy: true });
    }
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
      lacks.push(lack.clientProvision({ name, backend, life: life === 'dying' ? 'dying' : 'alive' }));
      // The fence is raised for the backend, not for a relation.
      if (step.type === 'fence' || access === null || work.busy || resting) return state;
      const { primary } = step;
      effects.push({ type: 'postgres', leadership, access, primary, relation: id, step: step.step });
      return setBackend(setWork(state, id, { busy: true }), backend, { busy: true });
    }
  }
};

import { same } from '../../model/same.ts';
import type { Lack } from '../../model/waits.ts';
import { usernameOf } from './databag.ts';
import { laggards, type NextStep, nextStep } from './next-step.ts';
import { type Relation, relationsOf } from './relations.ts';
import { type ClientState, noBackendWork, noWork, setBackend, setWork, type Work } from './state.ts';
import { accessOf, type Turn, whoEnds } from './turn.ts';

/** Every relation by itself, in order of their ids. */
export const eachRelation = (turn: Turn, before: ClientState): ClientState => {
  let state = before;
  for (const relation of relationsOf(state.intent.known ? state.intent.value : null, state.records))
    state = guarded(turn, state, relation);
  return state;
};

/** A defect in deciding about one relation must not stop the others: it is left alone, and says so. */
const guarded = (turn: Turn, state: ClientState, relation: Relation): ClientState => {
  const { lacks, now } = turn;
  const { quarantine } = state.work.get(relation.id) ?? noWork;
  if (quarantine !== null) {
    lacks.push(lackOf(relation, 'quarantine', 'blocked', quarantine, 'operator'));
    return state;
  }
  try {
    return forRelation(turn, state, relation);
  } catch (defect) {
    const what = defect instanceof Error ? defect.message : String(defect);
    const incident = `relation-${relation.id}-${Math.round(now)}`;
    const reason = `client "${relation.name}" is quarantined after a defect (incident ${incident}: ${what}); the others are served: restart this unit to try again, and report the incident`;
    lacks.push(lackOf(relation, 'quarantine', 'blocked', reason, 'operator'));
    return setWork(state, relation.id, { quarantine: reason });
  }
};

const forRelation = (turn: Turn, before: ClientState, relation: Relation): ClientState => {
  const { settings, leadership, now, lacks } = turn;
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
    return take(turn, setWork(state, id, { trouble: null }), relation, step);
  if (trouble !== null) {
    const message = `client "${relation.name}": ${trouble.reason}`;
    lacks.push(lackOf(relation, 'trouble', trouble.kind, message, whoEnds(trouble, backend)));
  }
  if (work.busy || (trouble !== null && now < trouble.retryAt)) return state;
  return take(turn, state, relation, step);
};

const take = (turn: Turn, state: ClientState, relation: Relation, step: NextStep): ClientState => {
  const { settings, leadership, now, effects, lacks } = turn;
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
      // The fence is raised for the backend, not for a relation.
      if (step.type === 'fence' || access === null || work.busy || resting) return state;
      const { primary } = step;
      effects.push({ type: 'postgres', leadership, access, primary, relation: id, step: step.step });
      return setBackend(setWork(state, id, { busy: true }), backend, { busy: true });
    }
  }
};

const lackOf = ({ name }: Relation, what: string, kind: Lack['kind'], message: string, whom: string): Lack => ({
  id: `client:${name}:${what}`,
  kind,
  message,
  on: whom,
});

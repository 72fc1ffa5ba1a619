import type { BackendAccess, BackendServer, PostgresStep } from '../../model/backend.ts';
import type { Intent } from '../../model/intent.ts';
import { lack } from '../../model/wait-catalogue.ts';
import { relationsOf } from './relations.ts';
import { type BackendWork, type ClientState, noBackendWork, setBackend } from './state.ts';
import { accessOf, type Turn } from './turn.ts';

/** Work of the backend itself: troubles with the fence, and logins of ours that belong to no relation any more. */
export const eachBackend = (turn: Turn, before: ClientState): ClientState => {
  const { leadership, now, effects, lacks } = turn;
  let state = before;
  const intent = state.intent.known ? state.intent.value : null;
  for (const name of Object.keys(intent?.backends ?? {})) {
    const work = state.backends.get(name) ?? noBackendWork;
    const facts = state.facts.get(name);
    const access = accessOf(state, name);
    const { trouble } = work;
    if (trouble !== null) {
      const told = { name, reason: trouble.reason };
      lacks.push(trouble.kind === 'blocked' ? lack.backendFenceRefused(told) : lack.backendFence(told));
    }
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
    state = sweep(turn, state, { intent, access, primary: facts.primary, work });
  }
  return state;
};

interface Sweep {
  readonly intent: Intent;
  readonly access: BackendAccess;
  readonly primary: BackendServer;
  readonly work: BackendWork;
}

/** What a crash between two writes may leave in PostgreSQL: found by its tag, dropped when no relation and no record has it. */
const sweep = (
  { leadership, now, effects }: Turn,
  state: ClientState,
  { intent, access, primary, work }: Sweep,
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

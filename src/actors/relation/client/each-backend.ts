import type { BackendAccess, BackendServer, PostgresStep, Provision } from '../../model/backend.ts';
import type { Intent } from '../../model/intent.ts';
import { lack } from '../../model/wait-catalogue.ts';
import type { RelationRecord } from '../../model/snapshot.ts';
import { type Relation, relationsOf } from './relations.ts';
import { type BackendWork, type ClientState, noBackendWork, noWork, setBackend } from './state.ts';
import { accessOf, factsIn, type Turn } from './turn.ts';

/** Work of the backend itself: the fence, and audits of what is there. */
export const eachBackend = (turn: Turn, before: ClientState): ClientState => {
  const { leadership, now, effects, lacks } = turn;
  let state = before;
  const intent = state.intent.known ? state.intent.value : null;
  for (const name of Object.keys(intent?.backends ?? {})) {
    const work = state.backends.get(name) ?? noBackendWork;
    const facts = factsIn(state, turn, name);
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
    state = audit(turn, state, { intent, access, primary: facts.primary, work });
  }
  return state;
};

interface Ready {
  readonly intent: Intent;
  readonly access: BackendAccess;
  readonly primary: BackendServer;
  readonly work: BackendWork;
}

/**
 * Looks in turns whether what relations were given is there. What a crash between two writes may leave, or a step that was given up
 * and arrived after its undoing, is found by its tag, and dropped when no relation and no record has it.
 */
const audit = (
  { leadership, now, effects }: Turn,
  state: ClientState,
  { intent, access, primary, work }: Ready,
): ClientState => {
  const relations = relationsOf(intent, state.records);
  const unreadable = intent.unreadable.filter(({ of }) => of === 'clients');
  const ids = new Set<number>([
    ...relations.map(({ id }) => id),
    ...state.damaged.keys(),
    ...unreadable.flatMap(({ id }) => id ?? []),
  ]);
  // Of one whose id cannot be read any login may be.
  const isKnown = unreadable.every(({ id }) => id !== null);
  // An id that we have not given out yet is not ours to judge.
  const [orphan, ...rest] = work.orphans.filter(
    ({ relation }) => isKnown && !ids.has(relation) && relation < intent.nextRelation,
  );
  if (orphan !== undefined) {
    const step: PostgresStep = { type: 'dropLogin', relation: orphan.relation, username: orphan.username };
    effects.push({ type: 'postgres', leadership, access, primary, relation: null, step });
    return setBackend(state, access.name, { busy: true, orphans: [orphan, ...rest] });
  }
  if (now < work.auditAt) return state;
  const trusted = relations.filter(({ id }) => (state.work.get(id) ?? noWork).quarantine === null);
  const provisions = trusted.flatMap((relation) => provisionsOf(relation, access.name));
  effects.push({ type: 'audit', leadership, access, primary, provisions });
  return setBackend(state, access.name, { busy: true, orphans: [] });
};

const lookupIn = ({ lookup }: RelationRecord): Pick<Provision, 'lookup'> =>
  lookup?.ready === true ? { lookup: lookup.account } : {};

const adoptedIn = ({ adopted }: RelationRecord): Pick<Provision, 'adopted'> =>
  adopted === undefined ? {} : { adopted };

const provisionsOf = (relation: Relation, on: string): readonly Provision[] => {
  const { id, database, backend, extraUserRoles, life, record } = relation;
  return life === 'alive' && backend === on && record?.provisioned === true
    ? [{ relation: id, database, extraUserRoles, ...record.account, ...adoptedIn(record), ...lookupIn(record) }]
    : [];
};

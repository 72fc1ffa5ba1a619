/** What the operator asks for, as options and relations say it: the leader makes the intent from that, version by version. */
import type { RelationId, WallMs } from '../../../actors/model/ids.ts';
import type { BackendIntent, ClientIntent, Intent, UnreadableEntry } from '../../../actors/model/intent.ts';
import { databaseProblem, endpointProblem, passwordProblem } from '../../../actors/model/names.ts';
import { same } from '../../../actors/model/same.ts';
import { checkOptions, optionOf } from '../../../pgbouncer/catalogue.ts';

/** The one backend of a charm: another cluster that is related later takes its place. */
export const backendName = 'main';

export interface Asking {
  /** As `config-get` tells them; what is no option of the fleet is the charm's own business. */
  readonly config: Readonly<Record<string, string | number | boolean>>;
  /** `held`: of this relation nothing can be read just now, so it stays as it was. */
  readonly backend: Omit<BackendIntent, 'cluster'> | { readonly held: RelationId } | null;
  readonly clients: readonly AskingClient[];
}
export interface AskingClient {
  readonly id: RelationId;
  readonly remoteApplication: string;
  readonly database: string;
  readonly extraUserRoles: readonly string[];
}

/** The stored intent where nothing else is asked for; otherwise the next version of it. */
export const intentFrom = (
  stored: Intent | null,
  asking: Asking,
  about: { readonly reason: string; readonly at: WallMs },
): Intent => {
  const unreadable: UnreadableEntry[] = [];
  const bad = (of: UnreadableEntry['of'], name: string, id: RelationId | null, reason: string, asked: unknown): void =>
    void unreadable.push({ of, name, id, reason, stored: asked });
  const options: Record<string, string | number | boolean> = {};
  for (const [key, value] of Object.entries(asking.config).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    if (optionOf(key) === undefined) continue;
    const [problem] = checkOptions({ [key]: value });
    if (problem === undefined) options[key] = value;
    else bad('options', key, null, problem.reason, value);
  }
  const names = namesFor(asking.clients, stored);
  const clients: Record<string, ClientIntent> = {};
  for (const { id, database, extraUserRoles } of asking.clients) {
    const name = names.get(id) ?? String(id);
    const problem = databaseProblem(database);
    const client = { id, database, backend: backendName, extraUserRoles, poolMode: null, budget: null, timeouts: {} };
    if (problem === null) clients[name] = client;
    else bad('clients', name, id, problem, { id, database, extraUserRoles });
  }
  const backends = backendsOf(asking.backend, stored, bad);
  const ids = [...asking.clients, ...Object.values(backends)].map(({ id }) => id);
  const next = {
    options,
    clients,
    backends,
    departures: [],
    unreadable,
    nextRelation: Math.max(stored?.nextRelation ?? 1, ...ids.map((id) => id + 1)) as RelationId,
  };
  if (stored !== null) {
    const { version: _, author: __, reason: ___, at: ____, ...asked } = stored;
    if (same(asked, next)) return stored;
  }
  return { ...next, version: (stored?.version ?? 0) + 1, author: 'juju', reason: about.reason, at: about.at };
};

type Bad = (of: UnreadableEntry['of'], name: string, id: RelationId | null, reason: string, asked: unknown) => void;

const backendsOf = (backend: Asking['backend'], stored: Intent | null, bad: Bad): Intent['backends'] => {
  if (backend === null) return {};
  if ('held' in backend) {
    const before = stored?.backends[backendName];
    return before?.id === backend.held ? { [backendName]: before } : {};
  }
  const problem =
    backend.endpoints.map(endpointProblem).find((one) => one !== null) ?? passwordProblem(backend.password.reveal());
  if (problem === null) return { [backendName]: { ...backend, cluster: null } };
  bad('backends', backendName, backend.id, problem, { id: backend.id, endpoints: backend.endpoints });
  return {};
};

/**
 * A client is called by its application. Of several relations of one application the later ones bear their number too; who has a
 * name keeps it.
 */
const namesFor = (clients: readonly AskingClient[], stored: Intent | null): ReadonlyMap<RelationId, string> => {
  const before = new Map([
    ...Object.entries(stored?.clients ?? {}).map(([name, { id }]) => [id, name] as const),
    ...(stored?.unreadable ?? []).flatMap(({ of, id, name }) =>
      of === 'clients' && id !== null ? [[id, name] as const] : [],
    ),
  ]);
  const names = new Map<RelationId, string>();
  for (const { id } of clients) {
    const kept = before.get(id);
    if (kept !== undefined) names.set(id, kept);
  }
  const taken = new Set([backendName, ...names.values()]);
  for (const { id, remoteApplication } of clients.toSorted((a, b) => a.id - b.id)) {
    if (names.has(id)) continue;
    const plain = remoteApplication.slice(0, longestName).replace(/-+$/, '');
    const name = taken.has(plain) ? `${plain.slice(0, longestName - 17).replace(/-+$/, '')}-${id}` : plain;
    names.set(id, name);
    taken.add(name);
  }
  return names;
};
/** As names of relations go; the number of a relation has 16 digits at most. */
const longestName = 40;

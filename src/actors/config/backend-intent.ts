import type { Change } from '../model/change.ts';
import { type BackendIntent, type Intent, unreadableIn, withoutUnreadable } from '../model/intent.ts';
import type { RelationRecord } from '../model/snapshot.ts';
import { quoted } from '../model/quoted.ts';
import { type Changed, changed, next, problemAt, refused, unless } from './changed.ts';
import {
  endpointKey,
  endpointProblem,
  identifierProblem,
  passwordProblem,
  relationNameProblem,
} from '../model/names.ts';

/** Every unit looks at each of them every few seconds. */
const mostBackends = 32;
/** A cluster has a primary and a few standbys; each is asked at every look. */
const mostEndpoints = 16;

type Asked = Extract<Change, { type: 'addBackend' }>;

export const addBackend = (intent: Intent, asked: Asked): Changed =>
  unless(problemsOf(asked), () => {
    const { name } = asked;
    const earlier = Object.hasOwn(intent.backends, name) ? intent.backends[name] : undefined;
    const damaged = unreadableIn(intent, 'backends', name)?.id ?? null;
    if (Object.hasOwn(intent.clients, name) || unreadableIn(intent, 'clients', name) !== undefined)
      return refused(`"${name}" is a client already: choose another name for the backend`);
    if (earlier === undefined && Object.keys(intent.backends).length >= mostBackends)
      return refused(`there are ${mostBackends} backends already, which is as many as there may be: remove one first`);
    const { endpoints, username, password } = asked;
    const backend: BackendIntent = {
      id: earlier?.id ?? damaged ?? intent.nextRelation,
      endpoints,
      username,
      password,
      maintenanceDatabase: asked.maintenanceDatabase ?? earlier?.maintenanceDatabase ?? 'postgres',
      cluster: asked.acceptCluster ?? earlier?.cluster ?? null,
    };
    return changed({
      ...intent,
      nextRelation: backend.id === intent.nextRelation ? next(intent.nextRelation) : intent.nextRelation,
      backends: { ...intent.backends, [name]: backend },
      unreadable: withoutUnreadable(intent, 'backends', new Set([name])),
    });
  });

const problemsOf = ({ name, endpoints, username, password, maintenanceDatabase, acceptCluster }: Asked) => [
  ...problemAt('name', relationNameProblem(name)),
  ...problemAt('endpoints', endpointsProblem(endpoints)),
  ...problemAt('username', identifierProblem('username', username)),
  ...problemAt('password', passwordProblem(password.reveal())),
  ...(maintenanceDatabase === null
    ? []
    : problemAt('maintenance-database', identifierProblem('maintenance database', maintenanceDatabase))),
  ...problemAt('acceptCluster', clusterProblem(acceptCluster)),
];

const clusterProblem = (systemId: string | undefined): string | null =>
  systemId === undefined || /^[1-9]\d{0,19}$/.test(systemId)
    ? null
    : `${quoted(systemId)} is no system identifier: it is a number of up to 20 digits, which the status of the backend names`;

const endpointsProblem = (endpoints: readonly string[]): string | null => {
  if (endpoints.length === 0) return 'no endpoint is named: give the host:port of each server';
  if (endpoints.length > mostEndpoints) return `there are more than ${mostEndpoints} endpoints`;
  const problem = endpoints.map(endpointProblem).find((reason) => reason !== null);
  if (problem !== undefined) return problem;
  return new Set(endpoints.map(endpointKey)).size < endpoints.length
    ? 'an endpoint is named twice: name each server once'
    : null;
};

export const removeBackend = (intent: Intent, name: string, records: readonly RelationRecord[]): Changed => {
  const users = Object.entries(intent.clients).filter(([, { backend }]) => backend === name);
  if (users.length > 0)
    return refused(
      `backend "${name}" still serves ${users.map(([client]) => `"${client}"`).join(', ')}: remove those relations first`,
    );
  const dying = records.filter(({ backend }) => backend === name);
  if (dying.length > 0)
    return refused(
      `backend "${name}" still holds logins of ${dying.map((record) => `"${record.name}"`).join(', ')}: they are removed as soon as it answers; ask again then`,
    );
  const { [name]: _, ...backends } = intent.backends;
  return changed({ ...intent, backends, unreadable: withoutUnreadable(intent, 'backends', new Set([name])) });
};

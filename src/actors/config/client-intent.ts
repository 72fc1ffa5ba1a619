import { changedSettings, noSettings, problemsOfSettings } from '../../pgbouncer/client-settings.ts';
import type { Change } from '../model/change.ts';
import { type ClientIntent, type Intent, unreadableIn, withoutUnreadable } from '../model/intent.ts';
import type { RelationRecord } from '../model/snapshot.ts';
import { same } from '../model/same.ts';
import { quoted } from '../model/quoted.ts';
import { type Changed, changed, invalid, next, problemAt, refused, unless } from './changed.ts';
import { clientRoles, databaseProblem, relationNameProblem } from '../model/names.ts';

/** A fleet spec holds a login and a database for each, is one object of the backplane, and every unit reads it at once. */
const mostClients = 500;

type Asked = Extract<Change, { type: 'addClient' }>;

export const addClient = (intent: Intent, asked: Asked, records: readonly RelationRecord[]): Changed =>
  unless(problemsOf(asked), () => {
    const { name, database } = asked;
    const earlier = Object.hasOwn(intent.clients, name) ? intent.clients[name] : undefined;
    if (Object.hasOwn(intent.backends, name) || unreadableIn(intent, 'backends', name) !== undefined)
      return refused(`"${name}" is a backend already: choose another name for the client`);
    if (earlier === undefined && Object.keys(intent.clients).length >= mostClients)
      return refused(`there are ${mostClients} clients already, which is as many as there may be: remove one first`);
    const backend = asked.backend ?? earlier?.backend ?? onlyBackend(intent);
    if (typeof backend !== 'string') return backend;
    if (!Object.hasOwn(intent.backends, backend)) return invalid('backend', unknownBackend(intent, backend));
    const elsewhere = Object.entries(intent.clients).find(
      ([, other]) => other.database === database && other.backend !== backend,
    );
    if (elsewhere !== undefined && elsewhere[0] !== name)
      return refused(
        `database "${database}" is served from backend "${elsewhere[1].backend}" for client "${elsewhere[0]}": one name leads to one backend, choose another name`,
      );
    const extraUserRoles = [...new Set(asked.extraUserRoles ?? earlier?.extraUserRoles ?? [])].toSorted();
    const fixed = { database, backend, extraUserRoles };
    if (earlier !== undefined && !same(fixed, fixedOf(earlier))) return refused(whyFixed(name, earlier));
    const client: ClientIntent = {
      id: earlier?.id ?? mendedId(intent, { name, database, backend }, records) ?? intent.nextRelation,
      ...fixed,
      ...changedSettings(earlier ?? noSettings, asked.settings ?? {}),
    };
    return changed({
      ...intent,
      nextRelation: client.id === intent.nextRelation ? next(intent.nextRelation) : intent.nextRelation,
      clients: { ...intent.clients, [name]: client },
      unreadable: withoutUnreadable(intent, 'clients', new Set([name])),
    });
  });

/** Asked for again over what cannot be read, it goes on with the login it has, unless that is of another database. */
const mendedId = (
  intent: Intent,
  { name, database, backend }: { readonly name: string; readonly database: string; readonly backend: string },
  records: readonly RelationRecord[],
): ClientIntent['id'] | null => {
  const damaged = unreadableIn(intent, 'clients', name);
  if (damaged === undefined) return null;
  const taken = new Set(Object.values(intent.clients).map(({ id }) => id));
  const record = records.find(({ id, ...of }) =>
    damaged.id === null ? of.name === name && !taken.has(id) : damaged.id === id,
  );
  if (record === undefined) return damaged.id;
  return record.name === name && record.database === database && record.backend === backend ? record.id : null;
};

const problemsOf = ({ name, database, extraUserRoles, settings }: Asked) => {
  const strange = (extraUserRoles ?? []).find((role) => !clientRoles.includes(role));
  return [
    ...problemAt('name', relationNameProblem(name)),
    ...problemAt('database', databaseProblem(database)),
    ...(strange === undefined
      ? []
      : problemAt('extra-user-roles', `role ${quoted(strange)} is not known: choose among ${clientRoles.join(', ')}`)),
    ...problemsOfSettings(settings ?? {}),
  ];
};

const onlyBackend = (intent: Intent): string | Changed => {
  const damaged = intent.unreadable.flatMap(({ of, name }) => (of === 'backends' ? [name] : []));
  const [only, ...others] = [...Object.keys(intent.backends), ...damaged];
  if (only === undefined)
    return refused('there is no backend yet: integrate one first (troupe integrate backend NAME …)');
  return others.length === 0
    ? only
    : refused(`there are several backends (${[only, ...others].join(', ')}): say which one it is on`);
};

const unknownBackend = ({ backends }: Intent, name: string): string => {
  const names = Object.keys(backends);
  return `there is no backend ${quoted(name)}${names.length === 0 ? '' : ` (there are: ${names.join(', ')})`}`;
};

/** What a client has for all of its life. */
const fixedOf = ({
  database,
  backend,
  extraUserRoles,
}: ClientIntent): Pick<ClientIntent, 'database' | 'backend' | 'extraUserRoles'> => ({
  database,
  backend,
  extraUserRoles,
});

const whyFixed = (name: string, { database, backend, extraUserRoles }: ClientIntent): string => {
  const roles = extraUserRoles.length === 0 ? 'without extra roles' : `with roles ${extraUserRoles.join(', ')}`;
  return `client "${name}" exists with database "${database}" on backend "${backend}" ${roles}: these cannot be changed; remove it first`;
};

import { checkOptions, type OptionProblem, optionOf, parseOption } from '../../pgbouncer/catalogue.ts';
import { changedSettings, noSettings, problemsOfSettings } from '../../pgbouncer/client-settings.ts';
import type { Change } from '../model/change.ts';
import { readOnlySuffix } from '../model/fleet-spec.ts';
import type { RelationId, WallMs } from '../model/ids.ts';
import {
  type BackendIntent,
  type ClientIntent,
  type Departure,
  departureOf,
  type Intent,
  type Options,
  type OptionValue,
} from '../model/intent.ts';
import { same } from '../model/same.ts';
import type { RelationRecord, UnitRecord } from '../model/snapshot.ts';

export interface About {
  readonly author: string;
  readonly reason: string;
  readonly wall: WallMs;
}
export type Changed =
  | { readonly kind: 'changed'; readonly intent: Intent }
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'invalid'; readonly problems: readonly OptionProblem[] }
  | { readonly kind: 'refused'; readonly reason: string };

/** What an application asks for that nobody has asked anything of: defaults, no relations. */
export const emptyIntent: Intent = {
  version: 0,
  author: '',
  reason: '',
  at: 0 as WallMs,
  nextRelation: 1 as RelationId,
  options: {},
  backends: {},
  clients: {},
  departures: [],
};

/**
 * The intent that follows from a change, or why there is none. `records` are relations that are not gone yet; `units` the roster,
 * null while it is not known.
 */
export const changeIntent = (
  before: Intent | null,
  change: Change,
  about: About,
  records: readonly RelationRecord[],
  units: readonly UnitRecord[] | null,
): Changed => {
  const intent = before ?? emptyIntent;
  const wished = wish(intent, change, records, units);
  if (wished.kind !== 'changed') return wished;
  return same(wished.intent, intent)
    ? { kind: 'unchanged' }
    : {
        kind: 'changed',
        intent: {
          ...wished.intent,
          departures: stillThere(wished.intent.departures, units),
          version: intent.version + 1,
          author: about.author,
          reason: about.reason,
          at: about.wall,
        },
      };
};

/** Wishes about lives that are over are forgotten. */
const stillThere = (departures: readonly Departure[], units: readonly UnitRecord[] | null): readonly Departure[] =>
  units === null
    ? departures
    : departures.filter(({ unit, nonce }) => units.some((one) => one.unit === unit && one.nonce === nonce));

const wish = (
  intent: Intent,
  change: Change,
  records: readonly RelationRecord[],
  units: readonly UnitRecord[] | null,
): Changed => {
  switch (change.type) {
    case 'setOptions':
      return setOptions(intent, change.options);
    case 'addBackend':
      return addBackend(intent, change);
    case 'addClient':
      return addClient(intent, change);
    case 'removeRelation':
      return removeRelation(intent, change.name, records);
    case 'removeUnit':
      return units === null
        ? refused('this unit has not read the roster yet: ask again in a moment')
        : removeUnit(intent, change, units);
  }
};

const changed = (intent: Intent): Changed => ({ kind: 'changed', intent });
const invalid = (path: string, reason: string): Changed => ({ kind: 'invalid', problems: [{ path, reason }] });
const refused = (reason: string): Changed => ({ kind: 'refused', reason });

/** A key that is no option is refused also when it is to be reset: it was never set, and somebody meant something by it. */
const setOptions = (intent: Intent, given: Readonly<Record<string, OptionValue | null>>): Changed => {
  const values = new Map<string, OptionValue>(Object.entries(intent.options));
  const problems = Object.entries(given).flatMap(([key, value]): readonly OptionProblem[] => {
    if (value !== null) {
      values.set(key, value);
      return checkOptions({ [key]: value });
    }
    // What an earlier version of Troupe let be set can always be taken back.
    const parsed = values.delete(key) ? null : parseOption(key, '');
    return parsed === null || parsed.ok || optionOf(key) !== undefined
      ? []
      : [{ path: `options.${key}`, reason: parsed.reason }];
  });
  const options: Options = Object.fromEntries([...values].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  return problems.length > 0 ? { kind: 'invalid', problems } : changed({ ...intent, options });
};

/** As Juju names applications; short enough that a login made from it fits PostgreSQL's 63 bytes. */
const relationName = /^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$/;
/** Every object of JavaScript has these: a name is a key, here and wherever JSON is read. */
const namesOfObjects: ReadonlySet<string> = new Set(['constructor', 'prototype']);
const nameProblem = (name: string): string | null =>
  relationName.test(name) && !namesOfObjects.has(name)
    ? null
    : namesOfObjects.has(name)
      ? `relation name "${name}" is reserved: choose another one`
      : `relation name ${JSON.stringify(name)} must be 1 to 40 lower-case letters, digits and hyphens, start with a letter and not end with a hyphen`;

const addBackend = (intent: Intent, change: Extract<Change, { type: 'addBackend' }>): Changed => {
  const { name, endpoints, username, password, maintenanceDatabase, acceptCluster } = change;
  const wrong = nameProblem(name);
  if (wrong !== null) return invalid('name', wrong);
  if (Object.hasOwn(intent.clients, name))
    return refused(`"${name}" is a client already: choose another name for the backend`);
  if (endpoints.length === 0) return invalid('endpoints', 'at least one endpoint (host:port) is needed');
  for (const endpoint of endpoints) {
    const problem = endpointProblem(endpoint);
    if (problem !== null) return invalid('endpoints', problem);
  }
  if (new Set(endpoints).size < endpoints.length) return invalid('endpoints', 'an endpoint is named twice');
  const problem =
    identifierProblem('username', username) ?? identifierProblem('maintenance database', maintenanceDatabase);
  if (problem !== null) return invalid('username', problem);
  if (password.reveal() === '') return invalid('password', 'the password is empty');
  if (acceptCluster !== undefined && !/^[1-9]\d{0,19}$/.test(acceptCluster))
    return invalid(
      'acceptCluster',
      `${JSON.stringify(acceptCluster)} is no system identifier: it is a number of up to 20 digits, which the status of the backend names`,
    );
  const earlier = intent.backends[name];
  const backend: BackendIntent = {
    id: earlier?.id ?? intent.nextRelation,
    endpoints,
    username,
    password,
    maintenanceDatabase,
    cluster: acceptCluster ?? earlier?.cluster ?? null,
  };
  const nextRelation = earlier === undefined ? next(intent.nextRelation) : intent.nextRelation;
  return changed({ ...intent, nextRelation, backends: { ...intent.backends, [name]: backend } });
};

const next = (id: RelationId): RelationId => (id + 1) as RelationId;

const endpointProblem = (endpoint: string): string | null => {
  const port = Number(/:(\d{1,5})$/.exec(endpoint)?.[1] ?? Number.NaN);
  const host = endpoint.slice(0, endpoint.lastIndexOf(':'));
  if (!(port >= 1 && port <= 65_535))
    return `endpoint ${JSON.stringify(endpoint)} must be host:port with a port from 1 to 65535`;
  const plain = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})$/.test(host);
  const bracketed = /^\[[0-9A-Fa-f:.]{2,45}\]$/.test(host);
  return plain || bracketed
    ? null
    : `endpoint ${JSON.stringify(endpoint)} does not name a host (IPv6 addresses go in brackets)`;
};

const identifierProblem = (what: string, text: string): string | null => {
  // biome-ignore lint: control characters are what is looked for.
  if (text === '' || /[\u0000-\u001f\u007f\u0085\u2028\u2029]/.test(text))
    return `the ${what} is empty or holds control characters`;
  return new TextEncoder().encode(text).length > 63 ? `the ${what} is longer than PostgreSQL's 63 bytes` : null;
};

/** What every supported PgBouncer can name in its ini file (1.25 and later could do more). */
const databaseName = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$/;
const reservedDatabases: ReadonlySet<string> = new Set(['pgbouncer', 'postgres', 'template0', 'template1']);
const knownRoles: ReadonlySet<string> = new Set(['createdb', 'createrole']);

const addClient = (intent: Intent, change: Extract<Change, { type: 'addClient' }>): Changed => {
  const { name, database } = change;
  const wrong = nameProblem(name);
  if (wrong !== null) return invalid('name', wrong);
  if (Object.hasOwn(intent.backends, name))
    return refused(`"${name}" is a backend already: choose another name for the client`);
  if (!databaseName.test(database))
    return invalid(
      'database',
      `database ${JSON.stringify(database)} must be 1 to 63 letters, digits, _ . or - (other names cannot be written in PgBouncer's configuration)`,
    );
  if (database.endsWith(readOnlySuffix))
    return invalid(
      'database',
      `database "${database}" would take the name under which "${database.slice(0, -readOnlySuffix.length)}" is read from standbys: choose one that does not end in ${readOnlySuffix}`,
    );
  if (reservedDatabases.has(database) || database.startsWith('troupe_'))
    return invalid('database', `database "${database}" is reserved: choose another one`);
  const strange = (change.extraUserRoles ?? []).find((role) => !knownRoles.has(role));
  if (strange !== undefined)
    return invalid(
      'extra-user-roles',
      `role ${JSON.stringify(strange)} is not known: choose among ${[...knownRoles].join(', ')}`,
    );
  const backends = Object.keys(intent.backends);
  const backend = change.backend ?? (backends.length === 1 ? backends[0] : undefined);
  if (backend === undefined)
    return refused(
      backends.length === 0
        ? 'there is no backend yet: integrate one first (troupe integrate backend NAME …)'
        : `there are several backends (${backends.join(', ')}): name one with --backend`,
    );
  if (!Object.hasOwn(intent.backends, backend))
    return invalid(
      'backend',
      `there is no backend "${backend}"${backends.length === 0 ? '' : ` (there are: ${backends.join(', ')})`}`,
    );
  const elsewhere = Object.entries(intent.clients).find(
    ([, other]) => other.database === database && other.backend !== backend,
  );
  if (elsewhere !== undefined)
    return refused(
      `database "${database}" is served from backend "${elsewhere[1].backend}" for client "${elsewhere[0]}": one name leads to one backend`,
    );
  const problems = problemsOfSettings(change.settings ?? {});
  if (problems.length > 0) return { kind: 'invalid', problems };
  const earlier = intent.clients[name];
  const extraUserRoles = [...new Set(change.extraUserRoles ?? earlier?.extraUserRoles ?? [])].toSorted();
  const wanted = { database, backend, extraUserRoles };
  if (earlier !== undefined && !same(wanted, fixedOf(earlier)))
    return refused(
      `client "${name}" exists with database "${earlier.database}" on backend "${earlier.backend}"${earlier.extraUserRoles.length === 0 ? ' without extra roles' : ` and roles ${earlier.extraUserRoles.join(', ')}`}: these cannot be changed; remove it first`,
    );
  const client: ClientIntent = {
    id: earlier?.id ?? intent.nextRelation,
    ...wanted,
    ...changedSettings(earlier ?? noSettings, change.settings ?? {}),
  };
  return changed({
    ...intent,
    nextRelation: earlier === undefined ? next(intent.nextRelation) : intent.nextRelation,
    clients: { ...intent.clients, [name]: client },
  });
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

const removeRelation = (intent: Intent, name: string, records: readonly RelationRecord[]): Changed => {
  if (Object.hasOwn(intent.clients, name)) {
    const { [name]: _, ...clients } = intent.clients;
    return changed({ ...intent, clients });
  }
  if (!Object.hasOwn(intent.backends, name)) {
    const names = [...Object.keys(intent.backends), ...Object.keys(intent.clients)];
    return invalid(
      'name',
      `there is no relation "${name}"${names.length === 0 ? '' : ` (there are: ${names.join(', ')})`}`,
    );
  }
  const users = Object.entries(intent.clients).filter(([, { backend }]) => backend === name);
  if (users.length > 0)
    return refused(
      `backend "${name}" still serves ${users.map(([client]) => `"${client}"`).join(', ')}: remove those relations first`,
    );
  const dying = records.filter(({ backend }) => backend === name);
  if (dying.length > 0)
    return refused(
      `backend "${name}" still holds logins of ${dying.map((record) => `"${record.name}"`).join(', ')}: they are removed as soon as it answers`,
    );
  const { [name]: _, ...backends } = intent.backends;
  return changed({ ...intent, backends });
};

const removeUnit = (
  intent: Intent,
  { unit, force }: Extract<Change, { type: 'removeUnit' }>,
  units: readonly UnitRecord[],
): Changed => {
  const record = units.find((one) => one.unit === unit);
  if (record === undefined)
    return invalid('unit', `there is no unit ${unit} (there are: ${units.map((one) => one.unit).join(', ')})`);
  const earlier = departureOf(intent, record);
  if (earlier !== null && (earlier.forced || !force)) return { kind: 'unchanged' };
  if (record.presence === 'silent' && !force)
    return refused(
      `${unit} is silent and its PgBouncers may well serve, with its share of the connections: end them on its machine, or start its coordinator and ask again; ask with --force to take it off the roster as it is`,
    );
  const stay = units.filter((one) => one !== record && one.presence === 'live' && departureOf(intent, one) === null);
  if (record.presence === 'live' && stay.length === 0 && !force)
    return refused(
      `${unit} is the last unit that serves, and every client would be cut: stop its process to end the fleet, or ask with --force`,
    );
  const departure = { unit, nonce: record.nonce, forced: force };
  return changed({ ...intent, departures: [...intent.departures.filter((one) => one !== earlier), departure] });
};

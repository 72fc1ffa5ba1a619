/**
 * The legacy interface `pgsql`, as provider: on the endpoint `db` an ordinary login, on `db-admin` one that may make databases and
 * roles. Clients read one bag that has all they need, the application's or a unit's; every unit of ours writes its own, and the
 * leader the application's. It knows no secrets: the password stands in the bags. What a client asked for must come back as it wrote it.
 */
import type { Databag } from '../../../actors/model/snapshot.ts';
import { readOnlyNameOf } from '../../../actors/model/fleet-spec.ts';
import { clientRoles, databaseProblem } from '../../../actors/model/names.ts';
import {
  type Asked,
  changedSince,
  type ClientRequest,
  nothingAsked,
  type Refusal,
  refusalCodes,
  unsupported,
} from './asked.ts';
import type { Bag } from '../tools.ts';
import { changesTo, revealed, textIn } from './bag.ts';
import { keyValues } from './key-values.ts';
import { relationIdOf } from './relation-id.ts';
import type { RelationRef } from '../environment.ts';

export interface PgsqlRelation extends RelationRef {
  readonly remoteApplication: string;
  readonly theirs: {
    readonly application: Bag;
    readonly units: Readonly<Record<string, Bag>>;
  };
  /** A bag of ours as it stands: the application's, or the unit's own. */
  readonly ours: Bag;
}

/** The words of a client, literally. */
const said = ({ theirs: { application, units } }: PgsqlRelation, key: 'database' | 'extensions' | 'roles'): string => {
  const bags = [application, ...unitsIn(units).map(([, bag]) => bag)];
  return bags.map((bag) => textIn(bag, key)).find((text) => text !== undefined) ?? '';
};

const unitsIn = (units: Readonly<Record<string, Bag>>): readonly (readonly [string, Bag])[] =>
  Object.entries(units).toSorted(([a], [b]) => (a < b ? -1 : 1));

/** What was answered is served on: the words of a client may stand in bags of units that are gone. */
export const askedByPgsql = (relation: PgsqlRelation): Asked => {
  const { endpoint, id, ours } = relation;
  const where = `relation ${endpoint}:${id}`;
  const first = textIn(ours, 'database');
  const now = said(relation, 'database');
  const database = first ?? now;
  if (database === '') return nothingAsked;
  const problem = databaseProblem(database);
  const extended = said(relation, 'extensions') !== '';
  const isServed = problem === null && (!extended || first !== undefined);
  const extraUserRoles = endpoint === 'db-admin' ? clientRoles : [];
  return {
    requests: isServed ? [{ requestId: null, id: relationIdOf(id, null), database, extraUserRoles }] : [],
    refusals: [
      ...(extended ? [extensionsRefused] : []),
      ...(problem === null ? [] : [unsupported(null, where, problem)]),
      ...(now === '' || now === database ? [] : [changedSince(null, where, ['database'])]),
    ],
  };
};

/** In the words of the charm that was here before. */
const extensionsRefused: Refusal = {
  requestId: null,
  code: refusalCodes.unsupported,
  reason: 'bad relation request - remote app requested extensions, which are unsupported. Please remove this relation.',
  resolution: 'remove this relation',
};

const keys = [
  'allowed-subnets',
  'allowed-units',
  'database',
  'roles',
  'extensions',
  'host',
  'port',
  'user',
  'password',
  'master',
  'standbys',
  'state',
  'version',
] as const;

/**
 * What to write into the bag of ours that the relation is looked at with; the application's and a unit's are the same. Without an
 * answer everything stays as it is.
 */
export const pgsqlChangesFor = (relation: PgsqlRelation, answer: Databag | undefined): Bag => {
  const [request] = askedByPgsql(relation).requests;
  if (request === undefined || answer === undefined) return {};
  return changesTo(relation.ours, answerTo(relation, request, answer), keys);
};

const answerTo = (relation: PgsqlRelation, { database }: ClientRequest, answer: Databag): Bag => {
  const { remoteApplication, theirs } = relation;
  const servers = serversIn(revealed(answer['endpoints']));
  const [user, password] = [revealed(answer['username']), revealed(answer['password'])];
  const connection = (dbname: string, at: readonly Server[]): string =>
    keyValues([
      ['host', at.map(({ host }) => host).join(',')],
      ['dbname', dbname],
      ['port', at.map(({ port }) => port).join(',')],
      ['user', user],
      ['password', password],
      ['fallback_application_name', remoteApplication],
    ]);
  const readers = serversIn(revealed(answer['read-only-endpoints']));
  const readOnly = readers.length === 0 ? null : readOnlyNameOf(database);
  return {
    'allowed-subnets': subnetsOf(theirs.units).join(','),
    'allowed-units': unitsIn(theirs.units)
      .map(([unit]) => unit)
      .join(','),
    database,
    roles: said(relation, 'roles'),
    host: servers[0]?.host ?? '',
    port: servers[0]?.port ?? '',
    user,
    password,
    master: connection(database, servers),
    standbys: readOnly === null ? '' : connection(readOnly, readers),
    // Every unit takes writes, whoever leads.
    state: 'master',
    version: revealed(answer['version']),
  };
};

interface Server {
  readonly host: string;
  readonly port: string;
}

/** IPv6 addresses have no brackets where the port has a place of its own. */
const serversIn = (endpoints: string): readonly Server[] =>
  endpoints
    .split(',')
    .filter((endpoint) => endpoint !== '')
    .map((endpoint) => {
      const colon = endpoint.lastIndexOf(':');
      return { host: endpoint.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: endpoint.slice(colon + 1) };
    });

/** A client that does not find each of its own subnets here, letter by letter, takes itself for shut out. */
const subnetsOf = (units: Readonly<Record<string, Bag>>): readonly string[] =>
  [
    ...new Set(
      Object.values(units)
        .flatMap((bag) => (textIn(bag, 'egress-subnets') ?? '').split(','))
        .map((subnet) => subnet.trim()),
    ),
  ]
    .filter((subnet) => subnet !== '')
    .toSorted();

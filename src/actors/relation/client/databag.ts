import { readOnlyNameOf } from '../../model/fleet-spec.ts';
import { pemsIn } from '../../../pgbouncer/tls.ts';
import type { Application, RelationId } from '../../model/ids.ts';
import { Secret } from '../../model/secret.ts';
import type { Account, Databag, RelationRecord, UnitBag, UnitRecord } from '../../model/snapshot.ts';

const longestName = 63;

/**
 * Login of a relation: readable in pg_stat_activity, different for every life of a relation (ids are never used twice),
 * never longer than PostgreSQL allows.
 */
export const usernameOf = (application: Application, name: string, id: RelationId): string =>
  suffixed(`${application}_${name}`, `_${id}`);

const suffixed = (name: string, suffix: string): string =>
  `${name.replaceAll('-', '_').slice(0, longestName - suffix.length)}${suffix}`;

/** The login by which logins are looked up that the relation makes by itself. */
export const lookupNameOf = (application: Application, name: string, id: RelationId): string =>
  suffixed(`${application}_${name}`, `_${id}_lookup`);

/**
 * Our side of a `postgresql_client` relation. Every live unit that serves the database is an endpoint, for reads as well: those go to another
 * database name, which only `read-only-uris` tells.
 */
export const databagOf = (
  record: RelationRecord,
  units: readonly UnitRecord[],
  { version, isReadable, shared = null }: About,
): Databag => {
  const serving = servingOf(units, record);
  const endpoints = endpointsOf(units, record, shared).join(',');
  const { account, database } = record;
  const readOnly = isReadable ? readOnlyNameOf(database) : null;
  return {
    database,
    endpoints,
    username: account.username,
    password: account.password,
    ...tlsOf(serving),
    uris: uriOf(account, endpoints, database),
    ...(readOnly === null
      ? {}
      : { 'read-only-endpoints': endpoints, 'read-only-uris': uriOf(account, endpoints, readOnly) }),
    version,
  };
};

const uriOf = ({ username, password }: Account, endpoints: string, database: string): Secret =>
  new Secret(
    `postgresql://${encodeURIComponent(username)}:${encodeURIComponent(password.reveal())}@${endpoints}/${encodeURIComponent(database)}`,
  );

interface About {
  readonly version: string;
  readonly isReadable: boolean;
  readonly shared?: SharedEndpoints | null;
}

/** Where clients reach units, by the port at which these listen; null: at each unit's own address. None: nobody knows yet. */
export type SharedEndpoints = ReadonlyMap<number, readonly string[]>;

/** Units behind a load balancer all say its address: it is one endpoint. While some listen elsewhere than others, it is two. */
export const endpointsOf = (
  units: readonly UnitRecord[],
  record: RelationRecord,
  shared: SharedEndpoints | null,
): readonly string[] => {
  const addresses = servingOf(units, record).map(({ address }) => address);
  return [...new Set(shared === null ? addresses : addresses.flatMap((address) => shared.get(portIn(address)) ?? []))];
};

const portIn = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1));

const servingOf = (units: readonly UnitRecord[], record: RelationRecord): readonly UnitBag[] =>
  units.flatMap(({ presence, bag }) =>
    presence === 'live' && bag !== null && bag.address !== '' && hasShare(bag, record) ? [bag] : [],
  );

/**
 * A client may meet any of the units: it is told to rely on TLS once all of them serve it. The authorities are those of all units in
 * their order, whoever leads: a certificate that is renewed changes nothing of it.
 */
const tlsOf = (serving: readonly UnitBag[]): Databag => {
  const authorities = serving.flatMap(({ tls }) => (tls === null ? [] : [pemsIn(tls.authorities)]));
  if (authorities.length === 0 || authorities.length < serving.length) return { tls: 'False' };
  const distinct = [...new Set(authorities.flat())].map((pem) => `${pem}\n`);
  const told = distinct.reduce((text, pem) => (text.length + pem.length > longestAuthorities ? text : text + pem), '');
  return { tls: 'True', 'tls-ca': told };
};

/** A databag holds no more; units have one authority, or two while it changes. */
const longestAuthorities = 40_000;

/** A unit that has just joined may have to wait for its share of the connections. */
const hasShare = ({ budget }: UnitBag, { database, account }: RelationRecord): boolean =>
  budget.every(({ of, name, given }) => given > 0 || name !== (of === 'database' ? database : account.username));

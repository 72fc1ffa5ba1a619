/**
 * From a fleet spec to the files of one unit. A RELOAD resets every setting that its file does not name, reads from top to bottom
 * and stops at the first line it does not understand. So every setting is named each time, what keeps us in control comes first,
 * and sections that can be wrong stand above [pgbouncer]. The very last line is the canary with a digest of the files: who shows it
 * has loaded exactly them.
 */
import { createHash } from 'node:crypto';
import { type Budget, budgetsIn, grantOf, isSameBudget, parts, sum } from '../actors/model/budget.ts';
import type { FleetSpec, Published } from '../actors/model/fleet-spec.ts';
import type { BudgetKey, UnitName } from '../actors/model/ids.ts';
import { Secret } from '../actors/model/secret.ts';
import type { InstanceLayout, Layout, PgBouncerVersion, Rendered } from '../actors/model/workload.ts';
import { completeOptions, renderedOption } from './catalogue.ts';
import { longestSeconds } from './client-settings.ts';
import { authLine, connectionString, type Entries, encodeIni, settingLine } from './dialect.ts';
import { options } from './options.ts';
import { userEntry } from './user-entry.ts';
import { isAtLeast } from './version.ts';
import { canBeFrozenThroughStartup } from './weaknesses.ts';

/** What every instance of a generation shows once it has loaded all of its file. */
export const canaryOf = ({ generation, digest }: Published): string => `troupe-${generation}-${digest.slice(0, 12)}`;

/**
 * The same inputs give the same bytes. The spec was checked when its intent was accepted; one that has no way to be written all the
 * same is a defect: throws Unwritable.
 */
export const render = (
  spec: FleetSpec,
  unit: UnitName,
  layout: Layout,
  version: PgBouncerVersion,
  canary: string,
): Rendered => {
  const listenPort = Number(completeOptions(spec.options)['listen_port']);
  const serving = layout.instances.slice(0, servingOf(spec, unit, layout));
  const databases = databasesOf(spec, unit, layout);
  const users = usersOf(spec, unit, layout, version);
  const authFile = authFileOf(spec, unit, layout);
  const peers = isAtLeast(version, '1.19') ? peersOf(serving, listenPort) : [];
  const instances = serving.map((instance, index) => {
    const settings = settingsOf(spec, layout, instance, version);
    const ini = encodeIni(
      [
        ['databases', databases[index] ?? []],
        ['users', users[index] ?? []],
        ['peers', peers],
        ['pgbouncer', settings],
      ],
      version,
    );
    return { id: instance.id, ini: `${ini}${settingLine('syslog_ident', `${canary}/${digestOf(ini, authFile)}`)}` };
  });
  return { canary, listenPort, authFile, tls: layout.tls ?? null, instances };
};

/** Files of one generation differ too: another program, another number of instances, another probe. */
const digestOf = (ini: string, authFile: Secret): string =>
  createHash('sha256').update(ini).update(authFile.reveal()).digest('hex').slice(0, 12);

/** The databases of each instance that serves. One that has no share here yet is left out: to PgBouncer nothing is no limit. */
const databasesOf = (spec: FleetSpec, unit: UnitName, layout: Layout): readonly Entries[] =>
  entriesOf(byName(spec.databases), servingOf(spec, unit, layout), (database) => ({
    shares: sharesOf(spec, unit, layout, { of: 'database', ...database }),
    entry: (share) => databaseEntry(database, share),
  }));

/** The logins of each instance, with what they have for themselves. */
const usersOf = (spec: FleetSpec, unit: UnitName, layout: Layout, version: PgBouncerVersion): readonly Entries[] => {
  const options = completeOptions(spec.options);
  return entriesOf(byName(spec.users), servingOf(spec, unit, layout), (user) => ({
    shares: sharesOf(spec, unit, layout, { of: 'login', ...user }),
    entry: (share) => [user.name, userEntry(user, share, options, version)],
  }));
};

interface Shared {
  readonly shares: Shares;
  readonly entry: (share: number) => readonly [string, string];
}
const entriesOf = <T>(items: readonly T[], serving: number, sharedOf: (item: T) => Shared): readonly Entries[] => {
  const all = items.map(sharedOf);
  return Array.from({ length: serving }, (_, index) =>
    all.flatMap(({ shares, entry }) => {
      const share = shares === 'unlimited' ? 0 : shares[index];
      return share === undefined ? [] : [entry(share)];
    }),
  );
};

type Shares = readonly number[] | 'unlimited';

/**
 * Connections of each of our instances, of a database or a login; none where this unit has no share of it yet. What the spec gives
 * this unit goes to the instances it has, which may be more or fewer than the spec knows of, less what those of an earlier life
 * still hold.
 */
export const sharesOf = (spec: FleetSpec, unit: UnitName, layout: Layout, budget: Budget): Shares => {
  if (budget.maxConnections === 0) return 'unlimited';
  const granted = sum(grantOf(spec, budget, unit));
  if (granted === 0) return [];
  const serving = servingOf(spec, unit, layout);
  return parts(Math.max(granted - retiringFrom(layout, budget), serving), serving);
};

/** Connections that instances of an earlier life still hold. */
export const retiringFrom = ({ retiring }: Layout, budget: BudgetKey): number =>
  sum(retiring.filter((one) => isSameBudget(one, budget)).map(({ connections }) => connections));

/**
 * How many of our instances serve: all of them, unless there are more than the spec knows of and a share has not one connection for
 * each. The others wait for the next spec. They share one address: a client must not meet one that lacks its database.
 */
export const servingOf = (spec: FleetSpec, unit: UnitName, { instances }: Layout): number => {
  const granted = budgetsIn(spec).flatMap((budget) => {
    const shares = sum(grantOf(spec, budget, unit));
    return shares === 0 ? [] : [shares];
  });
  return Math.min(instances.length, ...granted);
};

/** One login may use all of the share, so the pool is as large as the limit. */
const databaseEntry = (
  { name, database, host, port, readOnly, lookup }: FleetSpec['databases'][number],
  share: number,
): readonly [string, string] => {
  const server = [
    ['host', host],
    ['port', port],
    ['dbname', database],
    ...(readOnly ? [['connect_query', readingOnly] as const] : []),
    ...(lookup === undefined ? [] : [['auth_user', lookup] as const]),
  ] as const;
  const limits = [
    ['pool_size', share],
    ['max_db_connections', share],
  ] as const;
  return [name, connectionString(share === 0 ? server : [...server, ...limits])];
};

/** A standby may be promoted under those who read, and reads may be led to the primary. */
const readingOnly = 'SET default_transaction_read_only = on';

/** A request to cancel a query reaches any of the instances, and is handed on to the one that has it. */
const peersOf = (instances: readonly InstanceLayout[], port: number): Entries =>
  instances.map(({ id, socketDir }) => {
    const pairs = [['host', socketDir] as const, ['port', port] as const];
    return [String(id), connectionString(pairs)];
  });

const settingsOf = (spec: FleetSpec, layout: Layout, instance: InstanceLayout, version: PgBouncerVersion): Entries => [
  // The console of the socket needs no entry for its own user id, and takes every command (1.18, 1.24, 1.26): nobody else has rights, unless it is out of reach.
  ['admin_users', layout.console?.username ?? ''],
  ['stats_users', layout.probe.username],
  ...authSettings(layout),
  ['auth_file', layout.authFile],
  // For databases with an auth_user; of its own a database has it from 1.22 only.
  ...(looksUp(spec) ? [['auth_query', lookupQuery] as const] : []),
  // No logfile and no pidfile: a RELOAD that cannot open the one kills the process, the other can name somebody else's.
  ['syslog', '0'],
  ['verbose', '0'],
  ['listen_addr', listenAddresses(layout, instance)],
  ['unix_socket_dir', instance.socketDir],
  ['unix_socket_mode', '0700'],
  ['so_reuseport', '1'],
  ...(isAtLeast(version, '1.19') ? [['peer_id', String(instance.id)] as const] : []),
  // Else the kernel keeps connections back for a listener, and drops them when that one closes.
  ['tcp_defer_accept', '0'],
  ...tlsSettings(layout),
  ['min_pool_size', '0'],
  ['reserve_pool_size', '0'],
  ...optionEntries(spec, version),
];

/** Whoever does not ask for TLS is served without. The authorities are named always, because without them those of the system have to be there. */
const tlsSettings = ({ tls }: Layout): Entries =>
  tls === undefined || tls === null
    ? [['client_tls_sslmode', 'disable']]
    : [
        ['client_tls_sslmode', 'prefer'],
        ['client_tls_key_file', tls.keyFile],
        ['client_tls_cert_file', tls.certificateFile],
        ['client_tls_ca_file', tls.authoritiesFile],
      ];

/** Methods are the same with rules as without. */
const authSettings = ({ console }: Layout): Entries =>
  console === undefined
    ? [['auth_type', 'scram-sha-256']]
    : [
        ['auth_type', 'hba'],
        ['auth_hba_file', console.rulesFile],
      ];

/** Also beside a wildcard: the kernel prefers who listens at the very address, and goes on to another instance only when that is gone. */
const listenAddresses = ({ listenAddress }: Layout, { consoleAddress }: InstanceLayout): string =>
  consoleAddress === undefined ? listenAddress : `${listenAddress},${consoleAddress}`;

const optionEntries = (spec: FleetSpec, version: PgBouncerVersion): Entries =>
  byKey(options).flatMap((entry): Entries => {
    if (entry.key === 'max_db_connections') return []; // It was divided, and stands in the entries of the databases.
    const value = renderedOption(entry, spec.options, version);
    if (value === null) return [];
    if (entry.key === idle && looksUp(spec) && Number(value) === 0) return [[idle, String(longestSeconds)]];
    return [[entry.key, entry.key === ignoring && canBeFrozenThroughStartup(version) ? '' : value]];
  });

/** Logins that are looked up have no line of their own, and with none at all PgBouncer cuts who has none at once (see user-entry.ts). */
const idle = 'client_idle_timeout';
const looksUp = ({ databases }: FleetSpec): boolean => databases.some(({ lookup }) => lookup !== undefined);
/** Schema-qualified, so that no search_path of a client has a say. */
const lookupQuery = 'SELECT username, secret FROM troupe.lookup($1)';

const ignoring = 'ignore_startup_parameters';

/** A login that has no share here yet cannot be let in: it would have no limit. */
const authFileOf = (spec: FleetSpec, unit: UnitName, layout: Layout): Secret => {
  const { probe, console } = layout;
  const users = spec.users.filter((user) => sharesOf(spec, unit, layout, { of: 'login', ...user }).length > 0);
  const own = [probe, ...(console === undefined ? [] : [console])];
  const logins = [...users, ...own.map(({ username, verifier }) => ({ name: username, secret: verifier }))];
  return new Secret(
    byName(logins)
      .map(({ name, secret }) => `${authLine(name, secret.reveal())}\n`)
      .join(''),
  );
};

const byName = <T extends { readonly name: string }>(items: readonly T[]): readonly T[] =>
  items.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
const byKey = <T extends { readonly key: string }>(items: readonly T[]): readonly T[] =>
  items.toSorted((a, b) => (a.key < b.key ? -1 : 1));

/**
 * From a fleet spec to the files of one unit. A RELOAD resets every setting that its file does not name, reads from top to bottom
 * and stops at the first line it does not understand. So every setting is named each time, what keeps us in control comes first,
 * and sections that can be wrong stand above [pgbouncer]. The very last line is the canary with a digest of the files: who shows it
 * has loaded exactly them.
 */
import { createHash } from 'node:crypto';
import { parts, shareOf } from '../actors/model/budget.ts';
import type { FleetSpec, Published } from '../actors/model/fleet-spec.ts';
import type { UnitName } from '../actors/model/ids.ts';
import { Secret } from '../actors/model/secret.ts';
import type { InstanceLayout, Layout, PgBouncerVersion, Rendered } from '../actors/model/workload.ts';
import { completeOptions, renderedOption } from './catalogue.ts';
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
  const authFile = authFileOf(spec, layout);
  const databases = databasesOf(spec, unit, layout.instances.length);
  const users = usersOf(spec, unit, layout.instances.length, version);
  const peers = isAtLeast(version, '1.19') ? peersOf(layout, listenPort) : [];
  const instances = layout.instances.map((instance, index) => {
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
  return { canary, listenPort, authFile, instances };
};

/** Files of one generation differ too: another program, another number of instances, another probe. */
const digestOf = (ini: string, authFile: Secret): string =>
  createHash('sha256').update(ini).update(authFile.reveal()).digest('hex').slice(0, 12);

/** The databases of each instance. */
const databasesOf = (spec: FleetSpec, unit: UnitName, instances: number): readonly Entries[] => {
  const all = byName(spec.databases).map((database) => ({
    database,
    shares: sharesOf(database.maxConnections, spec, unit, instances),
  }));
  return Array.from({ length: instances }, (_, index) =>
    all.map(({ database, shares }) => databaseEntry(database, shares[index] ?? 0)),
  );
};

/** The logins of each instance, with what they have for themselves. */
const usersOf = (spec: FleetSpec, unit: UnitName, instances: number, version: PgBouncerVersion): readonly Entries[] => {
  const options = completeOptions(spec.options);
  const all = byName(spec.users).map((user) => ({
    user,
    shares: sharesOf(user.maxConnections, spec, unit, instances),
  }));
  return Array.from({ length: instances }, (_, index) =>
    all.map(({ user, shares }) => [user.name, userEntry(user, shares[index] ?? 0, options, version)]),
  );
};

/**
 * Connections of each of our instances, of a database or a login; 0 is unlimited. What the spec gives this unit goes to the
 * instances it has, which may be more or fewer than the spec knows of. One that would be left with nothing has one connection until
 * the next spec counts it: to PgBouncer nothing is no limit.
 */
const sharesOf = (
  maxConnections: number,
  { slots }: FleetSpec,
  unit: UnitName,
  instances: number,
): readonly number[] => {
  if (maxConnections === 0) return [];
  const ours = shareOf(maxConnections, slots, unit);
  const total = ours.reduce((sum, share) => sum + share, 0);
  return (ours.length === instances ? ours : parts(total, instances)).map((share) => Math.max(share, 1));
};

/** One login may use all of the share, so the pool is as large as the limit. */
const databaseEntry = (
  { name, database, host, port }: FleetSpec['databases'][number],
  share: number,
): readonly [string, string] => {
  const server = [
    ['host', host],
    ['port', port],
    ['dbname', database],
  ] as const;
  const limits = [
    ['pool_size', share],
    ['max_db_connections', share],
  ] as const;
  return [name, connectionString(share === 0 ? server : [...server, ...limits])];
};

/** A request to cancel a query reaches any of the instances, and is handed on to the one that has it. */
const peersOf = ({ instances }: Layout, port: number): Entries =>
  instances.map(({ id, socketDir }) => {
    const pairs = [['host', socketDir] as const, ['port', port] as const];
    return [String(id), connectionString(pairs)];
  });

const settingsOf = (spec: FleetSpec, layout: Layout, instance: InstanceLayout, version: PgBouncerVersion): Entries => [
  // Nobody has rights over TCP: the console of the socket needs no entry for its own user id, and takes every command (1.18, 1.24, 1.26).
  ['admin_users', ''],
  ['stats_users', layout.probe.username],
  ['auth_type', 'scram-sha-256'],
  ['auth_file', layout.authFile],
  // No logfile and no pidfile: a RELOAD that cannot open the one kills the process, the other can name somebody else's.
  ['syslog', '0'],
  ['verbose', '0'],
  ['listen_addr', layout.listenAddress],
  ['unix_socket_dir', instance.socketDir],
  ['unix_socket_mode', '0700'],
  ['so_reuseport', '1'],
  ...(isAtLeast(version, '1.19') ? [['peer_id', String(instance.id)] as const] : []),
  // Else the kernel keeps connections back for a listener, and drops them when that one closes.
  ['tcp_defer_accept', '0'],
  ['min_pool_size', '0'],
  ['reserve_pool_size', '0'],
  ...optionEntries(spec, version),
];

const optionEntries = ({ options: given }: FleetSpec, version: PgBouncerVersion): Entries =>
  byKey(options).flatMap((entry): Entries => {
    if (entry.key === 'max_db_connections') return []; // It was divided, and stands in the entries of the databases.
    const value = renderedOption(entry, given, version);
    if (value === null) return [];
    return [[entry.key, entry.key === ignoring && canBeFrozenThroughStartup(version) ? '' : value]];
  });

const ignoring = 'ignore_startup_parameters';

const authFileOf = ({ users }: FleetSpec, { probe }: Layout): Secret => {
  const logins = [...users, { name: probe.username, secret: probe.verifier }];
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

/**
 * From a fleet spec to the files of one unit. Sections come in the order [databases], [users], [peers], [pgbouncer], so that a bad
 * entry above leaves the main section untouched; every key that matters is written on every render, because a reload resets what
 * is absent; the canary is the last key, so that whoever shows it has loaded everything before it.
 */
import { shareOf as partsOf } from '../actors/model/budget.ts';
import type { DatabaseSpec, FleetSpec, Published } from '../actors/model/fleet-spec.ts';
import type { UnitName } from '../actors/model/ids.ts';
import { Secret } from '../actors/model/secret.ts';
import type { InstanceLayout, Layout, PgBouncerVersion, Rendered } from '../actors/model/workload.ts';
import { renderedOption } from './catalogue.ts';
import { authLine, connectionString, type Entries, encodeIni, entryKey } from './dialect.ts';
import { isAtLeast } from './version.ts';
import { isFrozenByStartupParameters } from './weaknesses.ts';

/** What every instance of a generation shows once it has loaded all of its file. */
export const canaryOf = ({ generation, digest }: Published): string => `troupe-${generation}-${digest.slice(0, 12)}`;

/** Same spec, unit, layout and version: same bytes. Throws Unwritable for a spec that this version cannot be told. */
export const render = (
  spec: FleetSpec,
  unit: UnitName,
  layout: Layout,
  version: PgBouncerVersion,
  canary: string,
): Rendered => ({
  canary,
  listenPort: portOf(spec),
  authFile: authFileOf(spec, layout),
  instances: layout.instances.map((instance, index) => ({
    id: instance.id,
    ini: encodeIni([
      [
        'databases',
        spec.databases.map((database) => databaseEntry(database, shareOf(database, spec, unit, index), version)),
      ],
      ['users', []],
      ...(isAtLeast(version, '1.19') ? [['peers', peersOf(layout, portOf(spec))] as const] : []),
      ['pgbouncer', settingsOf(spec, layout, instance, version, canary)],
    ]),
  })),
});

const portOf = ({ options }: FleetSpec): number => Number(options['listen_port']);

const authFileOf = ({ users }: FleetSpec, { probe }: Layout): Secret => {
  const lines = [
    ...users.map(({ name, secret }) => authLine(name, secret.reveal())),
    authLine(probe.username, probe.verifier.reveal()),
  ];
  return new Secret(`${lines.toSorted().join('\n')}\n`);
};

/** A unit that the spec does not know has no share: it may use one connection, until the next generation counts it. */
const shareOf = ({ maxConnections }: DatabaseSpec, { slots }: FleetSpec, unit: UnitName, index: number): number =>
  maxConnections === 0 ? 0 : Math.max(partsOf(maxConnections, slots, unit)[index] ?? 1, 1);

/** One login may use the whole share: the pool is as large as the limit, and the limit is what the budget gave. */
const databaseEntry = (database: DatabaseSpec, share: number, version: PgBouncerVersion): readonly [string, string] => {
  const reserve = isAtLeast(version, '1.24') ? 'reserve_pool_size' : 'reserve_pool';
  const limited: readonly (readonly [string, number])[] =
    share === 0
      ? []
      : [
          ['pool_size', share],
          [reserve, 0],
          ['max_db_connections', share],
        ];
  return [
    entryKey(database.name, version),
    connectionString([['host', database.host], ['port', database.port], ['dbname', database.database], ...limited]),
  ];
};

const peersOf = ({ instances }: Layout, port: number): Entries =>
  instances.map(({ id, socketDir }) => [
    String(id),
    connectionString([
      ['host', socketDir],
      ['port', port],
    ]),
  ]);

const settingsOf = (
  spec: FleetSpec,
  layout: Layout,
  instance: InstanceLayout,
  version: PgBouncerVersion,
  canary: string,
): Entries => [
  // First what keeps us in control of a process that stumbles over a later line.
  ['admin_users', 'pgbouncer'],
  ['stats_users', layout.probe.username],
  ['auth_type', 'scram-sha-256'],
  ['auth_file', layout.authFile],
  ['listen_addr', layout.listenAddress],
  ['unix_socket_dir', instance.socketDir],
  ['unix_socket_mode', '0700'],
  ['so_reuseport', '1'],
  ...(isAtLeast(version, '1.19') ? [['peer_id', String(instance.id)] as const] : []),
  // Otherwise the kernel drops connections that it holds back for a listener which closes.
  ['tcp_defer_accept', '0'],
  ['default_pool_size', '20'],
  ['min_pool_size', '0'],
  ['reserve_pool_size', '0'],
  ['ignore_startup_parameters', ignoredParameters(version)],
  ['log_stats', '0'],
  ['verbose', '0'],
  ...Object.entries(spec.options)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([key, value]): Entries => {
      const text = optionFor(key, value, version);
      return text === null ? [] : [[key, text]];
    }),
  ['syslog', '0'],
  ['syslog_ident', canary],
];

/** The fleet's limit is per database and was divided; as a setting of PgBouncer it would be undivided. */
const optionFor = (
  key: string,
  value: Parameters<typeof renderedOption>[1],
  version: PgBouncerVersion,
): string | null => (key === 'max_db_connections' ? null : renderedOption(key, value, version));

/** Drivers send these unasked; before 1.20 `options` was no startup parameter of its own. */
const ignoredParameters = (version: PgBouncerVersion): string => {
  if (isFrozenByStartupParameters(version)) return '';
  return isAtLeast(version, '1.20') ? 'extra_float_digits,options' : 'extra_float_digits';
};

/**
 * The options an operator may set: the ancestor's (names, types and defaults), and PgBouncer's own settings outside a reserved list.
 * Types are checked here because PgBouncer does not: it reads `010` as 8, takes negative limits, and forgets what follows a bad line.
 */
import type { Options, OptionValue } from '../actors/model/intent.ts';
import type { OptionsView } from '../actors/model/status.ts';
import type { PgBouncerVersion } from '../actors/model/workload.ts';
import { isAtLeast, type Release } from './version.ts';

export interface OptionProblem {
  readonly path: string;
  readonly reason: string;
}

type Kind =
  | { readonly type: 'integer'; readonly min: number; readonly max: number }
  /** Seconds; PgBouncer takes fractions. */
  | { readonly type: 'seconds'; readonly max: number }
  | { readonly type: 'flag' }
  | { readonly type: 'choice'; readonly among: readonly string[] }
  | { readonly type: 'text'; readonly pattern: RegExp; readonly what: string };

export interface OptionEntry {
  readonly key: string;
  readonly kind: Kind;
  /** Null: PgBouncer's own default for its version, and nothing is rendered. */
  readonly default: OptionValue | null;
  readonly help: string;
  /** First release that knows the key; older units leave it out. */
  readonly since?: Release;
}

const integer = (min: number, max: number): Kind => ({ type: 'integer', min, max });
const seconds = (max = 86_400): Kind => ({ type: 'seconds', max });
const flag: Kind = { type: 'flag' };
const choice = (...among: string[]): Kind => ({ type: 'choice', among });
const million = 1_000_000;

const catalogue: readonly OptionEntry[] = [
  {
    key: 'listen_port',
    kind: integer(1024, 65_535),
    default: 6432,
    help: 'port of every instance; changing it restarts them',
  },
  {
    key: 'pool_mode',
    kind: choice('session', 'transaction', 'statement'),
    default: 'session',
    help: 'when a server connection goes back to the pool',
  },
  {
    key: 'max_db_connections',
    kind: integer(0, million),
    default: 100,
    help: 'server connections per database for the whole fleet; 0 means no limit',
  },
  {
    key: 'max_prepared_statements',
    kind: integer(0, 1000),
    default: 100,
    since: '1.21',
    help: 'prepared statements kept per server connection outside session mode; 0 turns them off',
  },
  { key: 'max_client_conn', kind: integer(1, 100_000), default: 10_000, help: 'client connections per instance' },
  {
    key: 'client_idle_timeout',
    kind: seconds(),
    default: 0,
    help: 'a client that is idle this long is disconnected; 0 never',
  },
  { key: 'client_login_timeout', kind: seconds(), default: 60, help: 'a login that takes longer is ended' },
  {
    key: 'idle_transaction_timeout',
    kind: seconds(),
    default: 0,
    help: 'a transaction that is idle this long is ended; 0 never',
  },
  { key: 'query_timeout', kind: seconds(), default: 0, help: 'a query that runs this long is cut; 0 never' },
  {
    key: 'query_wait_timeout',
    kind: seconds(),
    default: 120,
    help: 'a query that waits this long for a server is refused; 0 never',
  },
  {
    key: 'transaction_timeout',
    kind: seconds(),
    default: null,
    since: '1.25',
    help: 'a transaction that runs this long is cut; 0 never',
  },
  { key: 'server_idle_timeout', kind: seconds(), default: 600, help: 'a server connection idle this long is closed' },
  {
    key: 'server_lifetime',
    kind: seconds(),
    default: 3600,
    help: 'a server connection older than this is closed when it is free',
  },
  { key: 'server_connect_timeout', kind: seconds(), default: 15, help: 'connecting to a server may take this long' },
  {
    key: 'server_login_retry',
    kind: seconds(),
    default: 1,
    help: 'after a failed login to a server the next try comes this much later',
  },
  {
    key: 'server_check_delay',
    kind: seconds(),
    default: 30,
    help: 'a server connection idle this long is tested before use',
  },
  {
    key: 'server_reset_query',
    kind: { type: 'text', pattern: /^[\x20-\x7e]{0,200}$/, what: 'one line of SQL' },
    default: 'DISCARD ALL',
    help: 'sent when a client of session mode leaves its server',
  },
  { key: 'server_reset_query_always', kind: flag, default: false, help: 'send it in the other modes too' },
  {
    key: 'server_round_robin',
    kind: flag,
    default: false,
    help: 'use server connections in turn instead of the last one first',
  },
  {
    key: 'server_fast_close',
    kind: flag,
    default: false,
    help: 'in session mode, close a server connection that must go without waiting for its client',
  },
  {
    key: 'server_tls_sslmode',
    kind: choice('disable', 'allow', 'prefer', 'require'),
    default: 'prefer',
    help: 'TLS towards PostgreSQL',
  },
  {
    key: 'application_name_add_host',
    kind: flag,
    default: false,
    help: 'append client address and port to application_name',
  },
  {
    key: 'tcp_keepidle',
    kind: integer(0, 86_400),
    default: 15,
    help: 'seconds of silence before a connection is probed; 0 as the system has it',
  },
  {
    key: 'tcp_keepintvl',
    kind: integer(0, 86_400),
    default: 5,
    help: 'seconds between probes; 0 as the system has it',
  },
  {
    key: 'tcp_keepcnt',
    kind: integer(0, 100),
    default: 3,
    help: 'probes without answer before a connection is given up; 0 as the system has it',
  },
  {
    key: 'tcp_user_timeout',
    kind: integer(0, 86_400_000),
    default: 30_000,
    help: 'milliseconds that sent data may stay unacknowledged; 0 as the system has it',
  },
  { key: 'log_connections', kind: flag, default: true, help: 'log each login' },
  { key: 'log_disconnections', kind: flag, default: true, help: 'log each disconnection' },
  { key: 'log_pooler_errors', kind: flag, default: true, help: 'log errors that clients are sent' },
];
const byKey: ReadonlyMap<string, OptionEntry> = new Map(catalogue.map((entry) => [entry.key, entry]));

/** Settings of PgBouncer that Troupe needs for itself, each with the reason that whoever tries is told. */
const reserved: ReadonlyMap<string, string> = new Map([
  ...[
    'listen_addr',
    'unix_socket_dir',
    'unix_socket_mode',
    'unix_socket_group',
    'so_reuseport',
    'peer_id',
    'tcp_defer_accept',
  ].map((key) => [key, 'Troupe gives each instance its place (TROUPE_LISTEN_ADDRESS, TROUPE_RUN_DIR)'] as const),
  ...[
    'auth_type',
    'auth_file',
    'auth_hba_file',
    'auth_ident_file',
    'auth_user',
    'auth_query',
    'auth_dbname',
    'admin_users',
    'stats_users',
  ].map((key) => [key, 'Troupe keeps the logins: integrate a client instead'] as const),
  ...[
    'logfile',
    'pidfile',
    'syslog',
    'syslog_ident',
    'syslog_facility',
    'verbose',
    'log_stats',
    'user',
    'conffile',
    'job_name',
    'service_name',
  ].map((key) => [key, 'Troupe runs and watches the processes with it'] as const),
  ...['default_pool_size', 'min_pool_size', 'reserve_pool_size', 'max_user_connections'].map(
    (key) => [key, 'pool sizes follow from max_db_connections, which is divided over the fleet'] as const,
  ),
  [
    'ignore_startup_parameters',
    'its value follows from the version, because some can be frozen through it (CVE-2026-107349)',
  ],
  ['max_packet_size', 'values above the default let a stranger crash the process (CVE-2026-107348)'],
  ['suspend_timeout', 'it is gone in PgBouncer 1.26'],
  ['resolv_conf', 'it can be given only when a process starts'],
]);

export const optionOf = (key: string): OptionEntry | undefined => byKey.get(key);

/** An option as written on a command line or in a file. */
export const parseOption = (
  key: string,
  text: string,
): { readonly ok: true; readonly value: OptionValue } | { readonly ok: false; readonly reason: string } => {
  const entry = byKey.get(key);
  if (entry === undefined) return { ok: false, reason: unknownKey(key) };
  const value = valueOf(entry.kind, text);
  const wrong = problemOf(entry, value);
  return wrong === null ? { ok: true, value } : { ok: false, reason: wrong };
};

/** Decimal digits only: `010` would be 8 to PgBouncer and 10 to everybody else, so it is neither. */
const valueOf = ({ type }: Kind, text: string): OptionValue => {
  if (type === 'integer' && /^-?(0|[1-9]\d{0,14})$/.test(text)) return Number(text);
  if (type === 'seconds' && /^(0|[1-9]\d{0,8})(\.\d{1,3})?$/.test(text)) return Number(text);
  if (type === 'flag' && /^(true|on|yes|1)$/i.test(text)) return true;
  if (type === 'flag' && /^(false|off|no|0)$/i.test(text)) return false;
  return text;
};

/** What is wrong with these options, by path; empty when nothing is. */
export const checkOptions = (options: Readonly<Record<string, unknown>>): readonly OptionProblem[] =>
  Object.entries(options).flatMap(([key, value]): readonly OptionProblem[] => {
    const entry = byKey.get(key);
    const reason = entry === undefined ? unknownKey(key) : problemOf(entry, value);
    return reason === null ? [] : [{ path: `options.${key}`, reason }];
  });

/** All options with a value: the operator's, else the default. Those left to PgBouncer are absent. */
export const completeOptions = (options: Options): Options =>
  Object.fromEntries(
    catalogue.flatMap(({ key, default: standard }) => {
      const value = options[key] ?? standard;
      return value === null ? [] : [[key, value] as const];
    }),
  );

export const optionsView = (options: Options): OptionsView['options'] =>
  catalogue.map(({ key, help, default: standard }) => ({
    key,
    value: options[key] ?? standard ?? '',
    default: standard ?? '',
    set: Object.hasOwn(options, key),
    help,
  }));

/** Key and value as PgBouncer of this version takes them; null when it has no such key. */
export const renderedOption = (key: string, value: OptionValue, version: PgBouncerVersion): string | null => {
  const entry = byKey.get(key);
  if (entry === undefined || (entry.since !== undefined && !isAtLeast(version, entry.since))) return null;
  return typeof value === 'boolean' ? (value ? '1' : '0') : String(value);
};

const problemOf = ({ key, kind }: OptionEntry, value: unknown): string | null => {
  const shown = `${key}=${typeof value === 'string' ? value.slice(0, 80) : JSON.stringify(value)}`;
  switch (kind.type) {
    case 'integer':
      return typeof value === 'number' && Number.isInteger(value) && value >= kind.min && value <= kind.max
        ? null
        : `${shown} must be a whole number from ${kind.min} to ${kind.max}, in plain decimal digits`;
    case 'seconds':
      return typeof value === 'number' && value >= 0 && value <= kind.max && /^\d+(\.\d{1,3})?$/.test(String(value))
        ? null
        : `${shown} must be seconds from 0 to ${kind.max}, without a unit`;
    case 'flag':
      return typeof value === 'boolean' ? null : `${shown} must be true or false`;
    case 'choice':
      return typeof value === 'string' && kind.among.includes(value)
        ? null
        : `${shown} must be one of ${kind.among.join(', ')}`;
    case 'text':
      return typeof value === 'string' && kind.pattern.test(value) && value === value.trim()
        ? null
        : `${shown} must be ${kind.what}`;
  }
};

const unknownKey = (key: string): string => {
  const why = reserved.get(key);
  if (why !== undefined) return `${key} cannot be set: ${why}`;
  const near = catalogue
    .map((entry) => ({ key: entry.key, far: distance(key, entry.key) }))
    .toSorted((a, b) => a.far - b.far)[0];
  const shown = JSON.stringify(key.slice(0, 80));
  return near !== undefined && near.far <= Math.max(2, key.length / 4)
    ? `there is no option ${shown}: did you mean ${near.key}?`
    : `there is no option ${shown}: troupe config lists them`;
};

/** Levenshtein's distance: how many letters were mistyped. */
const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...a.slice(0, 64)].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries())
      next.push(Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (letter === other ? 0 : 1)));
    row = next;
  }
  return row.at(-1) ?? 0;
};

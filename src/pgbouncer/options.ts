import type { OptionValue } from '../actors/model/intent.ts';
import type { Release } from './version.ts';

export type OptionKind =
  | { readonly type: 'integer'; readonly min: number; readonly max: number }
  /** PgBouncer takes fractions too. */
  | { readonly type: 'seconds'; readonly min: number; readonly max: number }
  | { readonly type: 'flag' }
  | { readonly type: 'choice'; readonly among: readonly string[] }
  | { readonly type: 'text'; readonly pattern: RegExp; readonly what: string };

export interface OptionEntry {
  readonly key: string;
  readonly kind: OptionKind;
  readonly default: OptionValue;
  readonly help: string;
  /** A process takes it over only when it starts. */
  readonly restart?: true;
  /** It is the fleet's and stands in no file: PgBouncer knows nothing of it. */
  readonly own?: true;
  /** The first release that knows it; units with an older one leave it out. */
  readonly since?: Release;
}

const integer = (min: number, max: number): OptionKind => ({ type: 'integer', min, max });
const seconds = (min: number, max = 31_536_000): OptionKind => ({ type: 'seconds', min, max });
const choice = (...among: readonly string[]): OptionKind => ({ type: 'choice', among });
const flag: OptionKind = { type: 'flag' };
const day = 86_400;
/** Linux takes no more seconds; PgBouncer takes more, proves, reloads, and does not start again. */
const longestProbing = 32_767;

const sentence: OptionKind = {
  type: 'text',
  pattern: /^(?! )[^\p{Cc}\u2028\u2029]{0,200}(?<! )$/u,
  what: 'one line of at most 200 characters, without blanks at its ends',
};
/** PgBouncer sends it as it stands; PostgreSQL runs two statements in one message as a transaction, which DISCARD ALL refuses. */
const statement: OptionKind = {
  type: 'text',
  pattern: /^(?! )[^;\p{Cc}\u2028\u2029]{0,200}(?<! )$/u,
  what: 'one SQL statement of at most 200 characters on one line, without a semicolon',
};
const parameters: OptionKind = {
  type: 'text',
  pattern: /^(?:[A-Za-z_][\w.]{0,62}(?:,[A-Za-z_][\w.]{0,62}){0,31})?$/,
  what: 'names of parameters with commas between them, without blanks',
};
/** PgBouncer 1.26 hands a client's search_path on, and would stop to if it was to be ignored. */
const ignorable: OptionKind = {
  type: 'text',
  pattern: /^(?!(?:.*,)?search_path(?:,|$))(?:[A-Za-z_][\w.]{0,62}(?:,[A-Za-z_][\w.]{0,62}){0,31})?$/i,
  what: 'names of parameters with commas between them, without blanks and without search_path (which would be dropped silently)',
};

/**
 * What an operator may set. First the options of the charm that Troupe descends from, with its names, types and defaults; then
 * PgBouncer's own, with its defaults except where a fleet needs others: probes and tcp_user_timeout so that a dead server is let go
 * in seconds, not hours.
 */
export const options: readonly OptionEntry[] = [
  {
    key: 'listen_port',
    kind: integer(1024, 65_535),
    default: 6432,
    restart: true,
    help: 'port of every unit',
  },
  {
    key: 'pool_mode',
    kind: choice('session', 'transaction', 'statement'),
    default: 'session',
    help: 'when a server connection goes back to its pool: after the client has left, after a transaction, after a statement',
  },
  {
    key: 'max_db_connections',
    kind: integer(0, 262_143),
    default: 100,
    help: 'server connections for each database, of the whole fleet together; 0: no limit',
  },
  {
    key: 'max_prepared_statements',
    kind: integer(0, 1000),
    default: 100,
    since: '1.21',
    help: 'prepared statements kept for each server connection in transaction and statement mode; 0: they do not work there',
  },
  {
    key: 'read_only_fallback',
    kind: choice('none', 'primary'),
    default: 'none',
    own: true,
    help: 'where <database>_readonly leads while no standby is there; none: clients are refused; primary: to it, and a quarter of max_db_connections is kept for that at all times; transactions are read-only by default there, in session mode only for the first client of each server connection',
  },
  {
    key: 'max_client_conn',
    kind: integer(1, 1_000_000),
    default: 10_000,
    help: 'client connections of each instance',
  },
  {
    key: 'default_pool_size',
    kind: integer(1, 262_143),
    default: 20,
    help: 'server connections for each database and login of each instance where max_db_connections is 0',
  },
  {
    key: 'pool_idle_timeout',
    kind: seconds(0),
    default: 0,
    since: '1.26',
    help: 'a pool unused this long is forgotten, and its counters with it; 0: never',
  },
  {
    key: 'query_wait_timeout',
    kind: seconds(0),
    default: 120,
    help: 'a client that waits this long for a server connection is disconnected; 0: never',
  },
  {
    key: 'query_wait_notify',
    kind: integer(0, day),
    default: 5,
    since: '1.25',
    help: 'seconds after which a waiting client is sent a notice; 0: never',
  },
  {
    key: 'query_timeout',
    kind: seconds(0),
    default: 0,
    help: 'a query that takes this long is cut off, with client and server connection; 0: never',
  },
  {
    key: 'transaction_timeout',
    kind: seconds(0),
    default: 0,
    since: '1.25',
    help: 'a transaction that takes this long is cut off with its client, a single statement too; 0: never',
  },
  {
    key: 'idle_transaction_timeout',
    kind: seconds(0),
    default: 0,
    help: 'a client idle this long within a transaction is disconnected; 0: never',
  },
  {
    key: 'client_idle_timeout',
    kind: seconds(0),
    default: 0,
    help: 'a client idle this long is disconnected; 0: never',
  },
  {
    key: 'client_login_timeout',
    kind: seconds(0),
    default: 60,
    help: 'a login that takes this long is given up; 0: never',
  },
  {
    key: 'cancel_wait_timeout',
    kind: seconds(0),
    default: 10,
    since: '1.19',
    help: 'a cancel request that waits this long for a server is given up; 0: never',
  },
  {
    key: 'server_lifetime',
    kind: seconds(0),
    default: 3600,
    help: 'a server connection this old is closed when it is free; 0: after every use',
  },
  {
    key: 'server_idle_timeout',
    kind: seconds(0),
    default: 600,
    help: 'a server connection unused this long is closed; 0: never',
  },
  {
    key: 'server_connect_timeout',
    kind: seconds(0),
    default: 15,
    help: 'a server connection that takes this long to come about is given up; 0: never',
  },
  {
    key: 'server_login_retry',
    kind: seconds(0, 3600),
    default: 1,
    help: 'seconds from a failed login to a server to the next; meanwhile clients who need a new server connection are refused',
  },
  {
    key: 'server_check_delay',
    kind: seconds(0),
    default: 30,
    help: 'a server connection unused this long is tried before a client gets it',
  },
  {
    key: 'server_check_query',
    kind: statement,
    default: 'select 1',
    help: 'what it is tried with; empty: not at all',
  },
  {
    key: 'server_reset_query',
    kind: statement,
    default: 'DISCARD ALL',
    help: 'what cleans a server connection after a client in session mode; empty: nothing',
  },
  {
    key: 'server_reset_query_always',
    kind: flag,
    default: false,
    help: 'clean it in transaction and statement mode too',
  },
  {
    key: 'server_round_robin',
    kind: flag,
    default: false,
    help: 'use server connections in turn, not the one used last',
  },
  {
    key: 'server_fast_close',
    kind: flag,
    default: false,
    help: 'in session mode, leave a server that is no longer wanted without waiting for its clients, who are disconnected',
  },
  {
    key: 'server_tls_sslmode',
    kind: choice('disable', 'allow', 'prefer', 'require'),
    default: 'prefer',
    help: 'TLS towards PostgreSQL; certificates are not checked',
  },
  {
    key: 'ignore_startup_parameters',
    kind: ignorable,
    default: 'extra_float_digits,options',
    help: 'parameters of a login that are ignored, others that PgBouncer does not know refuse it; not used from 1.20.0 to 1.26.0, which can be frozen through it (CVE-2026-107349)',
  },
  {
    key: 'track_extra_parameters',
    kind: parameters,
    default: 'IntervalStyle',
    restart: true,
    since: '1.20',
    help: 'settings kept for each client in transaction mode, beside those that always are',
  },
  {
    key: 'application_name_add_host',
    kind: flag,
    default: false,
    help: 'show PostgreSQL the address of the client behind its application_name',
  },
  {
    key: 'login_notify_message',
    kind: sentence,
    default: '',
    since: '1.26',
    help: 'notice for every client that logs in; empty: none',
  },
  {
    key: 'dns_max_ttl',
    kind: seconds(0),
    default: 15,
    help: 'a name of a server is looked up again after this many seconds',
  },
  {
    key: 'dns_nxdomain_ttl',
    kind: seconds(0),
    default: 15,
    help: 'one that was not found, after this many seconds',
  },
  {
    key: 'dns_zone_check_period',
    kind: seconds(0),
    default: 0,
    help: 'how often to see whether the zone of a name has changed; 0: never',
  },
  {
    key: 'tcp_keepalive',
    kind: flag,
    default: true,
    help: 'probe connections that are silent',
  },
  {
    key: 'tcp_keepidle',
    kind: integer(0, longestProbing),
    default: 15,
    help: 'seconds of silence before the first probe; 0: as the system has it',
  },
  {
    key: 'tcp_keepintvl',
    kind: integer(0, longestProbing),
    default: 5,
    help: 'seconds between probes; 0: as the system has it',
  },
  {
    key: 'tcp_keepcnt',
    kind: integer(0, 127),
    default: 3,
    help: 'unanswered probes after which a connection is dead; 0: as the system has it',
  },
  {
    key: 'tcp_user_timeout',
    kind: integer(0, day * 1000),
    default: 30_000,
    help: 'milliseconds without acknowledgement after which a connection is dead; 0: as the system has it',
  },
  {
    key: 'tcp_socket_buffer',
    kind: integer(0, 1_073_741_823),
    default: 0,
    help: 'bytes the system keeps for each connection; 0: as it likes',
  },
  {
    key: 'listen_backlog',
    kind: integer(1, 65_535),
    default: 128,
    restart: true,
    help: 'connections that may wait to be accepted',
  },
  {
    key: 'pkt_buf',
    kind: integer(512, 1_048_576),
    default: 4096,
    restart: true,
    help: 'bytes of the buffer of each connection',
  },
  {
    key: 'max_packet_size',
    kind: integer(16_384, 2_147_483_647),
    default: 2_147_483_647,
    help: 'bytes of the longest message between client and server',
  },
  {
    key: 'sbuf_loopcnt',
    kind: integer(0, 1_000_000),
    default: 5,
    help: 'times a connection may be read before the others have their turn; 0: as long as it has data',
  },
  {
    key: 'stats_period',
    kind: integer(1, day),
    default: 60,
    help: 'seconds that averages are made of',
  },
  {
    key: 'log_stats',
    kind: flag,
    default: false,
    help: 'log averages once in each period',
  },
  {
    key: 'log_connections',
    kind: flag,
    default: true,
    help: 'log every login',
  },
  {
    key: 'log_disconnections',
    kind: flag,
    default: true,
    help: 'log the end of every connection, with its reason',
  },
  {
    key: 'log_pooler_errors',
    kind: flag,
    default: true,
    help: 'log the errors that clients are told',
  },
];

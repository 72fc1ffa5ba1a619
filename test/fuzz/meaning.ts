/** What an intent means, said without any of the code that renders it: what PgBouncer shows is held against this. */
import type { Intent, OptionValue } from '../../src/actors/model/intent.ts';
import type { PgBouncerVersion } from '../../src/actors/model/workload.ts';
import { options as catalogue, type OptionEntry } from '../../src/pgbouncer/options.ts';
import type { Shown } from '../../src/pgbouncer/verify.ts';
import { isAtLeast } from '../../src/pgbouncer/version.ts';
import { canBeFrozenThroughStartup } from '../../src/pgbouncer/weaknesses.ts';

export interface Meant {
  readonly intent: Intent;
  readonly port: number;
  /** Login of each client. */
  readonly logins: ReadonlyMap<string, string>;
  /** Where the primary of each backend was found. */
  readonly primaries: ReadonlyMap<string, { readonly host: string; readonly port: number }>;
  /** Instances of the whole fleet; the one that shows this is the first of them. */
  readonly instances: number;
}

/** Where what is shown is not what was meant; empty when it is. */
export const misunderstandings = (meant: Meant, shown: Shown, version: PgBouncerVersion): readonly string[] => [
  ...aboutOptions(meant, shown, version),
  ...aboutDatabases(meant, shown),
  ...aboutLogins(meant, shown),
];

/** Divided, Troupe's own, or the place's. */
const elsewhere: ReadonlySet<string> = new Set(['max_db_connections', 'read_only_fallback', 'listen_port']);

const aboutOptions = ({ intent }: Meant, { config }: Shown, version: PgBouncerVersion): readonly string[] => {
  const values = new Map(config.map(({ key, value }) => [key ?? '', value ?? '']));
  return catalogue.flatMap((entry): readonly string[] => {
    const { key, since } = entry;
    if (elsewhere.has(key) || (since !== undefined && !isAtLeast(version, since))) return [];
    if (key === 'ignore_startup_parameters' && canBeFrozenThroughStartup(version)) return [];
    const value = intent.options[key] ?? entry.default;
    const is = values.get(key);
    return is !== undefined && isSame(entry, value, is)
      ? []
      : [`option ${key} is ${JSON.stringify(is)}, asked for was ${JSON.stringify(value)}`];
  });
};

/** PgBouncer shows times in six significant digits, rounded, and a choice in small letters. */
const isSame = ({ kind }: OptionEntry, value: OptionValue, is: string): boolean => {
  switch (kind.type) {
    case 'integer':
      return is === String(value);
    case 'seconds':
      return is !== '' && Math.abs(Number(is) - Number(value)) <= Number(value) * 0.000_005_01;
    case 'flag':
      return is === (value === true ? '1' : '0');
    case 'choice':
      return is.toLowerCase() === value;
    case 'text':
      return is === value;
  }
};

const shareOfFirst = (total: number, instances: number): number =>
  Math.floor(total / instances) + (total % instances > 0 ? 1 : 0);

const aboutDatabases = ({ intent, primaries, instances }: Meant, { databases }: Shown): readonly string[] => {
  const total = Number(intent.options['max_db_connections'] ?? 100);
  const wanted = new Map(
    Object.values(intent.clients).flatMap(({ database, backend }) => {
      const { host = '', port = 0 } = primaries.get(backend) ?? {};
      const entry = (limit: number) => [host, String(port), database, String(shareOfFirst(limit, instances)), null];
      const name = `${database}_readonly`;
      const reading = total === 0 ? 0 : Math.max(Math.floor(total / 4), instances);
      // There is no standby, so reads are served where the operator lets them go to the primary and there is enough for both.
      const reads = intent.options['read_only_fallback'] === 'primary' && name.length <= 63;
      return reads && (total === 0 || total - reading >= instances)
        ? [[database, entry(total - reading)] as const, [name, entry(reading)] as const]
        : [[database, entry(total)] as const];
    }),
  );
  const is = new Map(
    databases
      .filter(({ name }) => name !== 'pgbouncer')
      .map((row) => [
        row['name'] ?? '',
        [row['host'], row['port'], row['database'], row['max_connections'], row['force_user'] || null],
      ]),
  );
  return differences('database', wanted, is);
};

const aboutLogins = ({ intent, logins, instances }: Meant, { users }: Shown): readonly string[] => {
  const rows = new Map(users.map((row) => [row['name'] ?? '', row]));
  return Object.entries(intent.clients).flatMap(([client, { poolMode, budget }]): readonly string[] => {
    const login = logins.get(client) ?? '';
    const row = rows.get(login);
    if (row === undefined) return [`login ${login} is not known`];
    const mode = poolMode ?? intent.options['pool_mode'] ?? 'session';
    const limit = budget === null ? 0 : shareOfFirst(budget, instances);
    return [
      ...(row['pool_mode'] === mode ? [] : [`login ${login} has pool_mode ${row['pool_mode']} and not ${mode}`]),
      // Shown from 1.23.
      ...(row['max_user_connections'] === undefined || Number(row['max_user_connections']) === limit
        ? []
        : [`login ${login} has max_user_connections ${row['max_user_connections']} and not ${limit}`]),
    ];
  });
};

const differences = (
  what: string,
  wanted: ReadonlyMap<string, unknown>,
  is: ReadonlyMap<string, unknown>,
): readonly string[] =>
  [...new Set([...wanted.keys(), ...is.keys()])].flatMap((name) => {
    const [asked, shown] = [JSON.stringify(wanted.get(name)), JSON.stringify(is.get(name))];
    return asked === shown ? [] : [`${what} ${JSON.stringify(name)} is ${shown}, asked for was ${asked}`];
  });

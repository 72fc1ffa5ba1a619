/** What the console's SHOW commands say. Columns and their order differ between versions: they are read by name. */
import { parseVersion } from './version.ts';
import type { PoolStatus } from '../actors/model/status.ts';
import type { PgBouncerVersion, PoolFact } from '../actors/model/workload.ts';

export type Rows = readonly Readonly<Record<string, string | null>>[];

/** Value of a key in SHOW CONFIG and SHOW STATE; null when it is not there, or NULL. */
export const settingIn = (rows: Rows, key: string): string | null =>
  rows.find((row) => row['key'] === key)?.['value'] ?? null;

/** All of SHOW CONFIG, NULL as the empty text that it was written as. */
export const settingsShown = (config: Rows): Readonly<Record<string, string>> =>
  Object.fromEntries(config.map(({ key, value }) => [key ?? '', value ?? '']));

/** The canary in SHOW CONFIG: what the last line of a file says before the digest of that file. */
export const canaryIn = (config: Rows): string | null => {
  const last = settingIn(config, 'syslog_ident');
  return last === null ? null : canaryOfLast(last);
};
export const canaryOfLast = (value: string): string => value.replace(/\/[0-9a-f]+$/, '');

/** The global pause in SHOW STATE (from 1.19), which does not know of databases that are paused one by one. */
export const isPaused = (state: Rows): boolean => settingIn(state, 'paused') === 'yes';

/**
 * SHOW DATABASES and SHOW POOLS: pooled connections to each database and of each login, less the console itself. What a login may
 * have is told by none of the versions alike, and by 1.18 not at all.
 */
export const poolsShown = (databases: Rows, pools: Rows): readonly PoolFact[] => [
  ...databases.flatMap((row): readonly PoolFact[] => {
    const name = row['name'] ?? '';
    const [limit, open] = [Number(row['max_connections'] ?? 0), Number(row['current_connections'] ?? 0)];
    return name === 'pgbouncer' ? [] : [{ of: 'database', name, limit, open, databases: [name] }];
  }),
  ...[...Map.groupBy(pools, (row) => row['user'] ?? '')].flatMap(([name, rows]): readonly PoolFact[] => {
    const used = rows.filter((row) => row['database'] !== 'pgbouncer' && serversIn(row) > 0);
    if (used.length === 0) return [];
    const open = used.reduce((sum, row) => sum + serversIn(row), 0);
    return [{ of: 'login', name, limit: null, open, databases: used.map((row) => row['database'] ?? '') }];
  }),
];

/** SHOW POOLS as it is told to people, less the console itself. */
export const poolsIn = (instance: number, rows: Rows): readonly PoolStatus[] =>
  rows
    .filter((row) => row['database'] !== 'pgbouncer')
    .map((row) => {
      const number = (column: string): number => Number(row[column] ?? 0);
      const [active, idle] = [number('sv_active'), number('sv_idle') + number('sv_used')];
      return {
        instance,
        database: row['database'] ?? '',
        user: row['user'] ?? '',
        mode: row['pool_mode'] ?? '',
        clients: { active: number('cl_active'), waiting: number('cl_waiting') },
        servers: { active, idle, other: serversIn(row) - active - idle },
        waitMs: number('maxwait') * 1_000 + Math.round(number('maxwait_us') / 1_000),
      };
    });

/** Whatever state they are in. */
const serversIn = (row: Rows[number]): number =>
  Object.entries(row).reduce((sum, [column, value]) => sum + (column.startsWith('sv_') ? Number(value ?? 0) : 0), 0);

/** Databases in SHOW DATABASES that take no queries (PAUSE, KILL) or no logins (DISABLE), by a command about each of them. */
export const haltedIn = (
  databases: Rows,
): readonly { readonly name: string; readonly paused: boolean; readonly disabled: boolean }[] =>
  databases
    .map((row) => ({ name: row['name'] ?? '', paused: row['paused'] === '1', disabled: row['disabled'] === '1' }))
    .filter(({ name, paused, disabled }) => name !== 'pgbouncer' && (paused || disabled));

/** SHOW VERSION: one row with one column. */
export const versionIn = (rows: Rows): PgBouncerVersion | null => parseVersion(Object.values(rows[0] ?? {})[0] ?? '');

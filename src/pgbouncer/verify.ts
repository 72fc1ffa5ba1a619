import { parseConnectionString } from './dialect.ts';
import { sectionIn, settingsIn } from './ini.ts';
import type { Rows } from './show.ts';

/**
 * Where a running instance differs from the file it was given: every key of the main section against SHOW CONFIG, every database
 * against SHOW DATABASES. Empty when it has loaded all of it.
 */
export const configMismatches = (ini: string, config: Rows, databases: Rows): readonly string[] => [
  ...settingMismatches(settingsIn(ini), config),
  ...databaseMismatches(sectionIn(ini, 'databases'), databases),
];

const settingMismatches = (wanted: ReadonlyMap<string, string>, config: Rows): readonly string[] => {
  const shown = new Map(config.map((row) => [row['key'] ?? '', row['value'] ?? '']));
  return [...wanted].flatMap(([key, value]) => {
    const is = shown.get(key);
    if (is === undefined) return [`${key} is not known to it`];
    return sameSetting(key, value, is)
      ? []
      : [`${key} is ${is === '' ? 'empty' : is} and should be ${value === '' ? 'empty' : value}`];
  });
};

/** Octal modes are shown in decimal, times in six significant digits. */
const sameSetting = (key: string, wanted: string, shown: string): boolean => {
  if (wanted === shown) return true;
  if (key === 'unix_socket_mode')
    return Number.parseInt(wanted, 8) === Number.parseInt(shown, shown.startsWith('0') ? 8 : 10);
  const [a, b] = [Number(wanted), Number(shown)];
  if (wanted === '' || shown === '' || Number.isNaN(a) || Number.isNaN(b))
    return wanted.toLowerCase() === shown.toLowerCase();
  return Number(a.toPrecision(6)) === b;
};

/** Column of SHOW DATABASES for a key of an entry; two keys have other names in older versions. */
const columnsOf: Readonly<Record<string, readonly string[]>> = {
  host: ['host'],
  port: ['port'],
  dbname: ['database'],
  pool_size: ['pool_size'],
  reserve_pool: ['reserve_pool_size', 'reserve_pool'],
  reserve_pool_size: ['reserve_pool_size', 'reserve_pool'],
  max_db_connections: ['max_connections'],
};

const databaseMismatches = (wanted: ReadonlyMap<string, string>, databases: Rows): readonly string[] => {
  const rows = new Map(databases.map((row) => [row['name'] ?? '', row]));
  const names = new Set([...wanted.keys()].map(bare));
  const strangers = [...rows.keys()].filter((name) => name !== 'pgbouncer' && !names.has(name));
  return [
    ...strangers.map((name) => `database ${name} is served and should not be`),
    ...[...wanted].flatMap(([key, entry]) => {
      const name = bare(key);
      const row = rows.get(name);
      if (row === undefined) return [`database ${name} is not served`];
      return [...parseConnectionString(entry)].flatMap(([part, value]) => {
        const column = (columnsOf[part] ?? []).find((candidate) => row[candidate] !== undefined);
        const is = column === undefined ? undefined : (row[column] ?? '');
        return is === undefined || is === value ? [] : [`${part} of database ${name} is ${is} and should be ${value}`];
      });
    }),
  ];
};

const bare = (key: string): string => (key.startsWith("'") ? key.slice(1, -1) : key);

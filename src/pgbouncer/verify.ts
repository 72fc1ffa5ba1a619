import { optionOf } from './catalogue.ts';
import { databasesIn, settingsIn, usersIn } from './ini.ts';
import { type Rows, settingsShown } from './show.ts';

/**
 * Where a running instance differs from the file it was given: every setting against SHOW CONFIG, every database against SHOW
 * DATABASES, whose columns are the same as to this in 1.18, 1.24 and 1.26, and of every login what SHOW USERS shows of it: limits
 * from 1.23, timeouts in no version. Empty when it has loaded all of it.
 */
export const configMismatches = (ini: string, { config, databases, users }: Shown): readonly string[] => {
  const wanted = settingsIn(ini);
  if (wanted.size === 0) return ['its file cannot be read'];
  return [
    ...settingMismatches(wanted, settingsShown(config)),
    ...databaseMismatches(ini, databases),
    ...userMismatches(ini, users),
  ];
};

/** Answers to SHOW CONFIG, SHOW DATABASES and SHOW USERS. */
export interface Shown {
  readonly config: Rows;
  readonly databases: Rows;
  readonly users: Rows;
}

/** Settings of a file that a process has otherwise in force. */
export const settingsAmiss = (
  wanted: ReadonlyMap<string, string>,
  shown: Readonly<Record<string, string>>,
): readonly string[] => [...wanted].flatMap(([key, value]) => (isInForce(key, value, shown[key]) ? [] : [key]));

const settingMismatches = (
  wanted: ReadonlyMap<string, string>,
  shown: Readonly<Record<string, string>>,
): readonly string[] =>
  settingsAmiss(wanted, shown).map((key) => {
    const is = shown[key];
    return is === undefined ? `it knows no ${key}` : `${key} is ${said(is)} and not ${said(wanted.get(key) ?? '')}`;
  });

const said = (value: string): string => (value === '' ? 'empty' : value);

/** Modes are shown in decimal (1.24, 1.26) or as they were written (1.18), choices in lower case. */
const isInForce = (key: string, wanted: string, shown: string | undefined): boolean => {
  if (shown === undefined || wanted === shown) return shown !== undefined;
  if (key === 'unix_socket_mode') return modeOf(wanted) === modeOf(shown);
  const kind = optionOf(key)?.kind.type;
  if (kind === 'seconds') return shown !== '' && isShownAs(Number(wanted), Number(shown));
  return kind === 'choice' && wanted.toLowerCase() === shown.toLowerCase();
};

/** Times are shown in six significant digits; which way PgBouncer rounds a half is the system's to say (454468.5 is 454468). */
const isShownAs = (wanted: number, shown: number): boolean =>
  Math.abs(wanted - shown) <= 0.500_001 * 10 ** (Math.floor(Math.log10(Math.max(wanted, Number.MIN_VALUE))) - 5);

const modeOf = (mode: string): number => Number.parseInt(mode, mode.startsWith('0') ? 8 : 10);

/** Those of SHOW DATABASES alone. */
export const databaseMismatches = (ini: string, rows: Rows): readonly string[] => {
  const wanted = databasesIn(ini);
  const poolSize = settingsIn(ini).get('default_pool_size') ?? '';
  const served = new Map(rows.map((row) => [row['name'] ?? '', row]));
  const strangers = [...served.keys()].filter((name) => name !== 'pgbouncer' && !wanted.has(name));
  return [
    ...strangers.map((name) => `it serves database ${name}, which is not in its file`),
    ...[...wanted].flatMap(([name, pairs]) => {
      const row = served.get(name);
      return row === undefined ? [`it does not serve database ${name}`] : entryMismatches(name, pairs, poolSize, row);
    }),
  ];
};

const entryMismatches = (
  name: string,
  pairs: ReadonlyMap<string, string>,
  poolSize: string,
  row: Readonly<Record<string, string | null>>,
): readonly string[] => {
  const wanted: readonly (readonly [column: string, value: string])[] = [
    ['host', pairs.get('host') ?? ''],
    ['port', pairs.get('port') ?? ''],
    ['database', pairs.get('dbname') ?? ''],
    ['pool_size', pairs.get('pool_size') ?? poolSize],
    ['max_connections', pairs.get('max_db_connections') ?? '0'],
    ['force_user', ''],
  ];
  return columnMismatches('database', name, wanted, row);
};

const userMismatches = (ini: string, rows: Rows): readonly string[] => {
  const known = new Map(rows.map((row) => [row['name'] ?? '', row]));
  return [...usersIn(ini)].flatMap(([name, pairs]) => {
    const row = known.get(name);
    // In 1.24 the column pool_size of a login without one shows that of another login.
    return row === undefined ? [`it does not know login ${name}`] : columnMismatches('login', name, [...pairs], row);
  });
};

/** Columns that this version does not have are not looked at. */
const columnMismatches = (
  what: string,
  name: string,
  wanted: readonly (readonly [column: string, value: string])[],
  row: Readonly<Record<string, string | null>>,
): readonly string[] =>
  wanted
    .filter(([column, value]) => row[column] !== undefined && (row[column] ?? '').trimStart() !== value)
    .map(
      ([column, value]) =>
        `${column} of ${what} ${name} is ${said((row[column] ?? '').trimStart())} and not ${said(value)}`,
    );

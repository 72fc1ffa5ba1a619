/** What the console's SHOW commands say. Columns and their order differ between versions: they are read by name. */
import { parseVersion } from './version.ts';
import type { PgBouncerVersion } from '../actors/model/workload.ts';

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

/** SHOW VERSION: one row with one column. */
export const versionIn = (rows: Rows): PgBouncerVersion | null => parseVersion(Object.values(rows[0] ?? {})[0] ?? '');

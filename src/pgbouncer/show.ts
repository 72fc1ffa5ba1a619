/** What the console's SHOW commands say. Columns and their order vary by version: they are read by name. */
export type Rows = readonly Readonly<Record<string, string | null>>[];

export const settingIn = (rows: Rows, key: string): string | null =>
  rows.find((row) => row['key'] === key)?.['value'] ?? null;

/** The canary that SHOW CONFIG shows. */
export const canaryIn = (config: Rows): string | null => settingIn(config, 'syslog_ident');

/** The global pause in SHOW STATE (1.19 and later). */
export const isPaused = (state: Rows): boolean => settingIn(state, 'paused') === 'yes';

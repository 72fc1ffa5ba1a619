/** What one client may have otherwise than the options say. */
import type { SettingsChange } from '../actors/model/change.ts';
import { type ClientSettings, type ClientTimeout, clientTimeouts } from '../actors/model/intent.ts';
import type { PgBouncerVersion } from '../actors/model/workload.ts';
import type { OptionProblem } from './catalogue.ts';
import { isAtLeast, type Release } from './version.ts';

/** Word: as people write it in files and flags. */
export const timeoutWords: Readonly<Record<ClientTimeout, { readonly word: string; readonly since: Release }>> = {
  queryTimeout: { word: 'query-timeout', since: '1.24' },
  transactionTimeout: { word: 'transaction-timeout', since: '1.25' },
  idleTransactionTimeout: { word: 'idle-transaction-timeout', since: '1.24' },
  clientIdleTimeout: { word: 'client-idle-timeout', since: '1.24' },
  queryWaitTimeout: { word: 'query-wait-timeout', since: '1.26' },
};
/** The name of its option, and of its key in [users]. */
export const timeoutKey = (timeout: ClientTimeout): string => timeoutWords[timeout].word.replaceAll('-', '_');

export const noSettings: ClientSettings = { poolMode: null, budget: null, timeouts: {} };

/** As the option of that name allows. */
export const longestSeconds = 31_536_000;
/** As max_db_connections allows. */
const largestBudget = 262_143;

/** What is wrong with them; empty when nothing is. */
export const problemsOfSettings = ({ budget, timeouts = {} }: SettingsChange): readonly OptionProblem[] => [
  ...rangeProblem('budget', budget, largestBudget, 'a whole number of server connections'),
  ...clientTimeouts.flatMap((name) =>
    rangeProblem(timeoutWords[name].word, timeouts[name], longestSeconds, 'whole seconds'),
  ),
];

const rangeProblem = (
  path: string,
  value: number | null | undefined,
  most: number,
  what: string,
): readonly OptionProblem[] =>
  value === null || value === undefined || (Number.isSafeInteger(value) && value >= 0 && value <= most)
    ? []
    : [{ path, reason: `${path}=${value} must be ${what} from 0 to ${most}` }];

/** Settings after a change of them. */
export const changedSettings = (before: ClientSettings, change: SettingsChange): ClientSettings => {
  const timeouts = clientTimeouts.flatMap((name) => {
    const asked = change.timeouts?.[name];
    const value = asked === undefined ? before.timeouts[name] : asked;
    return value === null || value === undefined ? [] : [[name, value] as const];
  });
  const budget = change.budget === undefined ? before.budget : change.budget;
  return {
    poolMode: change.poolMode === undefined ? before.poolMode : change.poolMode,
    budget: budget === 0 ? null : budget,
    timeouts: Object.fromEntries(timeouts),
  };
};

/** Settings that somebody asked for and that this version cannot heed, each with the first that can. */
export const unheededTimeouts = (
  timeouts: ClientSettings['timeouts'],
  version: PgBouncerVersion,
): readonly { readonly word: string; readonly since: Release }[] =>
  clientTimeouts
    .filter((name) => timeouts[name] !== undefined && !isAtLeast(version, timeoutWords[name].since))
    .map((name) => timeoutWords[name]);

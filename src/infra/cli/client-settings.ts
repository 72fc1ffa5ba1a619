import type { SettingsChange } from '../../actors/model/change.ts';
import { clientTimeouts, poolModes } from '../../actors/model/intent.ts';
import { timeoutWords } from '../../pgbouncer/client-settings.ts';
import { CliFailure, exit } from './exit.ts';
import type { Flag, Given } from './verb.ts';

const back = 'default';
const seconds = { value: 'SECONDS' } as const;

/** What a client may have otherwise than the options say; `default` takes it back. */
export const settingsFlags: Readonly<Record<string, Flag>> = {
  'pool-mode': { value: 'MODE', help: `${poolModes.join(', ')}; ${back}: as the option says` },
  budget: { value: 'N', help: `its server connections, of the whole fleet together; ${back}: no limit of its own` },
  'query-timeout': {
    ...seconds,
    help: `a query that takes this long is cut off; 0: never; ${back}: as the option says`,
  },
  'transaction-timeout': { ...seconds, help: 'likewise a transaction (PgBouncer 1.25)' },
  'idle-transaction-timeout': { ...seconds, help: 'likewise a client idle this long within a transaction' },
  'client-idle-timeout': { ...seconds, help: 'likewise a client idle this long' },
  'query-wait-timeout': {
    ...seconds,
    help: 'likewise one that waits this long for a server connection (PgBouncer 1.26)',
  },
};

/** Settings as flags say them; undefined where none does. */
export const settingsIn = (given: Given): SettingsChange | undefined => {
  if (!Object.keys(settingsFlags).some((flag) => given.has(flag))) return undefined;
  const timeouts = clientTimeouts.flatMap((name) => {
    const { word } = timeoutWords[name];
    return given.has(word) ? [[name, numberIn(given, word, 'whole seconds')] as const] : [];
  });
  return {
    poolMode: poolModeIn(given),
    budget: given.has('budget') ? numberIn(given, 'budget', 'a whole number of server connections') : undefined,
    timeouts: Object.fromEntries(timeouts),
  };
};

const poolModeIn = (given: Given): SettingsChange['poolMode'] => {
  const text = given.text('pool-mode');
  if (text === null) return undefined;
  const mode = poolModes.find((one) => one === text.toLowerCase());
  if (mode === undefined && text !== back)
    throw new CliFailure(exit.usage, `--pool-mode ${JSON.stringify(text)}: must be ${poolModes.join(', ')} or ${back}`);
  return mode ?? null;
};

const numberIn = (given: Given, flag: string, what: string): number | null => {
  const text = given.required(flag);
  if (text === back) return null;
  if (/^(?:0|[1-9]\d{0,8})$/.test(text)) return Number(text);
  throw new CliFailure(
    exit.usage,
    `--${flag} ${JSON.stringify(text)}: must be ${what} in plain decimal digits, or ${back}`,
  );
};

/**
 * The line of [users] that tells PgBouncer what a login has for itself.
 *
 * A RELOAD takes a line as a whole, so a key that is left out is back to its default; but a line that is left out stays in force
 * until the process ends (1.18, 1.24, 1.26): every login has its line, always. To PgBouncer 0 is never a value of a login's own, it
 * means the setting for all; only query_wait_timeout has a real 0. And the first client_idle_timeout of any login, even of 0, makes
 * the process disconnect at once every idle client whose login has none when there is none for all (1.24 to 1.26.1), until it
 * ends: so every login has one, always.
 */
import type { UserSpec } from '../actors/model/fleet-spec.ts';
import { type ClientTimeout, clientTimeouts, type Options } from '../actors/model/intent.ts';
import type { PgBouncerVersion } from '../actors/model/workload.ts';
import { longestSeconds, timeoutKey, timeoutWords } from './client-settings.ts';
import { connectionString } from './dialect.ts';
import { isAtLeast } from './version.ts';

/**
 * The line of a login. `share`: its connections on one instance, 0 for no limit of its own. A pool of such a login is as large as its
 * limit; before 1.23 it stays as large as that of its database.
 */
export const userEntry = (
  { poolMode, timeouts }: UserSpec,
  share: number,
  options: Options,
  version: PgBouncerVersion,
): string => {
  const limits = [
    ['pool_mode', poolMode ?? String(options['pool_mode'])],
    ['max_user_connections', share],
  ] as const;
  const size = share > 0 && isAtLeast(version, '1.23') ? [['pool_size', share] as const] : [];
  const times = clientTimeouts
    .filter((name) => isAtLeast(version, timeoutWords[name].since))
    .flatMap((name) => {
      const seconds = secondsOf(name, timeouts[name], Number(options[timeoutKey(name)]));
      return seconds === null ? [] : [[timeoutKey(name), seconds] as const];
    });
  return connectionString([...limits, ...size, ...times]);
};

/** Null: the key is left out, and the option holds. */
const secondsOf = (name: ClientTimeout, given: number | undefined, option: number): number | null => {
  if (name === 'queryWaitTimeout') return given ?? null;
  if (given !== undefined && given > 0) return given;
  const isNever = given === 0 || option === 0;
  return isNever && (option > 0 || name === 'clientIdleTimeout') ? longestSeconds : 0;
};

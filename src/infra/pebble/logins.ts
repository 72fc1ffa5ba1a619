import { z } from 'zod';
import { consoleRules } from '../../pgbouncer/console-rules.ts';
import { freshLogin, loginIn, textOfLogin } from '../instances/login.ts';
import { PebbleError } from './trouble.ts';
import { textOf } from './files.ts';
import type { Pebble } from './client.ts';
import type { Places } from './places.ts';
import type { Logins, OwnLogins } from './unit.ts';

/**
 * The logins of this unit lie in the container, for Pebble's own account alone: the coordinator keeps nothing between two hooks, and
 * with the container go the instances that knew them.
 */
export const loginsIn = (pebble: Pebble, places: Places, prepare: (signal: AbortSignal) => Promise<void>): Logins => {
  let known: OwnLogins | null = null;
  return async (signal) => {
    const [file] = await pebble.readFiles([places.logins], signal);
    const kept = loginsKept(textOf(file));
    if (kept !== null) {
      known = kept;
      return kept;
    }
    const [probe, console] = await Promise.all([freshLogin('troupe_probe'), freshLogin('troupe_console')]);
    known ??= { probe, console };
    await prepare(signal);
    const content = JSON.stringify([textOfLogin(known.probe), textOfLogin(known.console)]);
    const results = await pebble.writeFiles([{ path: places.logins, content, permissions: '600' }], signal);
    const problem = results[0]?.error;
    if (problem !== undefined && problem !== null)
      throw new PebbleError(
        { kind: 'refused', status: 200, word: problem.kind ?? null },
        `cannot keep logins at "${places.logins}" in the workload container: ${problem.message}`,
      );
    return known;
  };
};

/** Of the logins that have rights on the consoles. */
export const rulesOf = ({ console, probe }: OwnLogins): string => consoleRules(console.username, probe.username);

const schema = z.tuple([z.string(), z.string()]);

/** What the file of a unit holds; null: nothing of use. */
export const loginsKept = (text: string | null): OwnLogins | null => {
  const [probe, console] = (schema.safeParse(jsonOr(text)).data ?? []).map(loginIn);
  return probe === undefined || console === undefined || probe === null || console === null ? null : { probe, console };
};

const jsonOr = (text: string | null): unknown => {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
};

/**
 * PgBouncers of a container, found in its /proc through the files API: Pebble tells of its services whether they run, but not as
 * which process, and a pid file would be written and read by PgBouncer where it has no business (render.ts).
 */
import type { Pebble } from './client.ts';
import { textOf } from './files.ts';
import { instanceIn, type Places } from './places.ts';

export interface FoundProcess {
  readonly instance: number;
  readonly pid: number;
  readonly uid: number;
  /** Clock ticks since the machine started: tells it from a later one with the same id. */
  readonly startedAt: number;
  /** How many files and connections it may have open. */
  readonly descriptors: number | null;
}

export const processesIn = async (
  pebble: Pebble,
  places: Places,
  user: string | null,
  signal: AbortSignal,
): Promise<readonly FoundProcess[]> => {
  const candidates = await candidatesIn(pebble, user, signal);
  const commands = await pebble.readFiles(
    candidates.map(({ pid }) => `/proc/${pid}/cmdline`),
    signal,
  );
  const ours = candidates.flatMap((candidate, index) => {
    const words = (textOf(commands[index]) ?? '').split('\0');
    const instance = words.map((word) => instanceIn(places, word)).find((id) => id !== null);
    return instance === undefined || instance === null ? [] : [{ ...candidate, instance }];
  });
  const details = await pebble.readFiles(
    ours.flatMap(({ pid }) => [`/proc/${pid}/stat`, `/proc/${pid}/limits`]),
    signal,
  );
  return ours.flatMap((process, index) => {
    const startedAt = startIn(textOf(details[2 * index]) ?? '');
    const descriptors = descriptorsIn(textOf(details[2 * index + 1]) ?? '');
    return startedAt === null ? [] : [{ ...process, startedAt, descriptors }];
  });
};

export const isSameProcess = (a: FoundProcess | null, b: FoundProcess | null): boolean =>
  a !== null && b !== null && a.pid === b.pid && a.startedAt === b.startedAt;

interface Candidate {
  readonly pid: number;
  readonly uid: number;
}

/** Pebble fails to list a directory when an entry goes meanwhile, which in /proc is nothing special. */
const attempts = 50;

const candidatesIn = async (
  pebble: Pebble,
  user: string | null,
  signal: AbortSignal,
): Promise<readonly Candidate[]> => {
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const entries = await pebble.listFiles('/proc', signal, '[1-9]*');
    if (entries === null) continue;
    return entries
      .filter((entry) => /^\d+$/.test(entry.name) && (user === null || entry.user === user))
      .map((entry) => ({ pid: Number(entry.name), uid: entry['user-id'] ?? 0 }));
  }
  return [];
};

/** Null for one that is gone, or has ended and only waits to be reaped. */
const startIn = (stat: string): number | null => {
  // The second field is the program's name in parentheses and may contain anything, also blanks and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, startedAt] = [fields[0], fields[19]];
  return startedAt === undefined || state === 'Z' || state === 'X' ? null : Number(startedAt);
};

const descriptorsIn = (limits: string): number | null => {
  const [, soft] = /^Max open files\s+(\d+)/m.exec(limits) ?? [];
  return soft === undefined ? null : Number(soft);
};

import { readFileSync, readlinkSync } from 'node:fs';
import { codeOf } from './system-error.ts';

/** A process, told apart from a later one that got the same id: by when it started (clock ticks) and in which boot. */
export interface ProcessMark {
  readonly pid: number;
  readonly startedAt: number;
  readonly bootId: string;
}

/** Null for a process that is not there, or has ended and only waits to be reaped. */
export const markOf = (pid: number): ProcessMark | null => {
  const startedAt = startOf(pid);
  return startedAt === null ? null : { pid, startedAt, bootId: bootId() };
};

export const isAlive = (mark: ProcessMark): boolean => isOfThisBoot(mark) && startOf(mark.pid) === mark.startedAt;

export const isOfThisBoot = (mark: ProcessMark): boolean => mark.bootId === bootId();

/** Whether there is no process of that id, not even one that is hidden from us or waits to be reaped. */
export const isGone = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return false;
  } catch (cause) {
    return codeOf(cause) === 'ESRCH';
  }
};

/** Tells whether the signal was sent: a process that has gone, or whose id is somebody else's now, gets none. */
export const signalTo = (mark: ProcessMark, signal: NodeJS.Signals): boolean => {
  if (!isAlive(mark)) return false;
  try {
    return process.kill(mark.pid, signal);
  } catch (cause) {
    if (codeOf(cause) === 'ESRCH') return false;
    throw cause;
  }
};

/** Null when it is gone, not ours to look into, or has no limit. */
export const descriptorLimitOf = (pid: number): number | null => {
  const [, soft] = /^Max open files\s+(\d+)/m.exec(textOf(`/proc/${pid}/limits`)) ?? [];
  return soft === undefined ? null : Number(soft);
};

/** Names, within one boot, those who see the same processes under the same ids: a container has its own. */
export const pidNamespace = (): string => readlinkSync('/proc/self/ns/pid');

const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

const startOf = (pid: number): number | null => {
  // Read at once: proc answers from memory, and a trip through the thread pool would cost ten times as much.
  const stat = textOf(`/proc/${pid}/stat`);
  // The second field is the program's name in parentheses and may contain anything, also blanks and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, threads, startedAt] = [fields[0], Number(fields[17]), fields[19]];
  // Its first thread may have ended before others, as when it is killed: until the last one has, its sockets are open (some 20 ms).
  const hasEnded = state === 'X' || (state === 'Z' && threads <= 1);
  return startedAt === undefined || hasEnded ? null : Number(startedAt);
};

const textOf = (file: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const code = codeOf(cause);
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES') return '';
    throw cause;
  }
};

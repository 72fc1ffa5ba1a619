import { readFileSync, statSync } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

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

export const isAlive = (mark: ProcessMark): boolean => mark.bootId === bootId() && startOf(mark.pid) === mark.startedAt;

/** A process that has gone, or whose id is somebody else's now, gets no signal. */
const signalTo = (mark: ProcessMark, signal: NodeJS.Signals): void => {
  if (!isAlive(mark)) return;
  try {
    process.kill(mark.pid, signal);
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'ESRCH')) throw cause;
  }
};

/** Ends processes that are not our children: the signal, and SIGKILL for those that are still there after the grace. */
export const endProcesses = async (
  marks: readonly ProcessMark[],
  signal: NodeJS.Signals,
  graceMs: number,
): Promise<void> => {
  for (const mark of marks) signalTo(mark, signal);
  for (const mark of marks) signalTo(mark, 'SIGCONT'); // A frozen process takes no other signal.
  if (await haveEnded(marks, graceMs)) return;
  for (const mark of marks) signalTo(mark, 'SIGKILL');
  await haveEnded(marks, 5_000);
};

/** Whom a process runs as; null when it has ended. */
export const userOf = (pid: number): number | null => statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid ?? null;

/** Ids of the processes whose working directory is this one, as far as we may see them. */
export const processesIn = (directory: string): Promise<readonly number[]> =>
  processesWhere(async (pid) => (await workingDirectoryOf(pid)) === directory);

/** Ids of the processes that got this path as an argument. */
export const processesWithArgument = (is: (argument: string) => boolean): Promise<readonly number[]> =>
  processesWhere(async (pid) => (await textOf(pid, 'cmdline')).split('\0').some(is));

/** Ids of the processes that work in this directory or below, or got a path there as argument or by their environment. */
export const processesUsing = (directory: string): Promise<readonly number[]> =>
  processesWhere(async (pid) => {
    const texts = await Promise.all([workingDirectoryOf(pid), textOf(pid, 'cmdline'), textOf(pid, 'environ')]);
    return texts.some((text) => text.includes(directory));
  });

const haveEnded = async (marks: readonly ProcessMark[], withinMs: number): Promise<boolean> => {
  const deadline = performance.now() + withinMs;
  while (marks.some(isAlive)) {
    if (performance.now() > deadline) return false;
    await delay(20);
  }
  return true;
};

const processesWhere = async (is: (pid: number) => Promise<boolean>): Promise<readonly number[]> => {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const answers = await Promise.all(pids.map(is));
  return pids.filter((_, index) => answers[index]);
};

const workingDirectoryOf = (pid: number): Promise<string> => readlink(`/proc/${pid}/cwd`).catch(() => '');

const textOf = (pid: number, file: string): Promise<string> => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');

const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

const startOf = (pid: number): number | null => {
  // The second field is the program's name in parentheses and may contain anything, also blanks and parentheses.
  const stat = statOf(pid);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, startedAt] = [fields[0], fields[19]];
  return startedAt === undefined || state === 'Z' || state === 'X' ? null : Number(startedAt);
};

const statOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return ''; // It has ended.
  }
};

import { readdir, readFile, readlink } from 'node:fs/promises';

/** A process, told apart from a later one that got the same id by the moment it started (in clock ticks since boot). */
export interface ProcessMark {
  readonly pid: number;
  readonly startedAt: number;
}

export const markOf = async (pid: number): Promise<ProcessMark> => ({ pid, startedAt: (await startOf(pid)) ?? 0 });

/** The same process as then, and not merely waiting to be reaped. */
export const isAlive = async ({ pid, startedAt }: ProcessMark): Promise<boolean> => (await startOf(pid)) === startedAt;

/** Ends exactly this process; one that has gone, or whose id is somebody else's now, is left alone. */
export const endProcess = async (mark: ProcessMark, signal: NodeJS.Signals): Promise<void> => {
  if (!(await isAlive(mark))) return;
  try {
    process.kill(mark.pid, signal);
  } catch (cause) {
    if (!isGone(cause)) throw cause;
  }
};

/** Ids of the processes whose working directory is this one, as far as we may see them. */
export const processesIn = (directory: string): Promise<readonly number[]> =>
  processesWhere(async (pid) => (await workingDirectoryOf(pid)) === directory);

/** Ids of the processes that work in this directory or below, or got a path there as argument or by their environment. */
export const processesUsing = (directory: string): Promise<readonly number[]> =>
  processesWhere(async (pid) => {
    const texts = await Promise.all([workingDirectoryOf(pid), textOf(pid, 'cmdline'), textOf(pid, 'environ')]);
    return texts.some((text) => text.includes(directory));
  });

const processesWhere = async (is: (pid: number) => Promise<boolean>): Promise<readonly number[]> => {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const answers = await Promise.all(pids.map(is));
  return pids.filter((_, index) => answers[index]);
};

const workingDirectoryOf = (pid: number): Promise<string> => readlink(`/proc/${pid}/cwd`).catch(() => '');

const textOf = (pid: number, file: string): Promise<string> => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');

/** Undefined for a process that is not there or has ended. */
const startOf = async (pid: number): Promise<number | undefined> => {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field is the program's name in parentheses and may contain anything, also blanks and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, startedAt] = [fields[0], fields[19]];
  return startedAt === undefined || state === 'Z' || state === 'X' ? undefined : Number(startedAt);
};

const isGone = (cause: unknown): boolean => cause instanceof Error && 'code' in cause && cause.code === 'ESRCH';

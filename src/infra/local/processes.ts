import { statSync } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { isAlive, type ProcessMark, signalTo } from '../files/process-mark.ts';

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

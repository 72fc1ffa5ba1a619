/**
 * What tests left behind, which fails their run: processes and containers of the run, found when it is over; sockets, servers and
 * timers of one test file, found in the process that ran it when its last hook is done.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { markOf } from '../../src/infra/files/process-mark.ts';
import { endProcesses, processesUsing } from '../../src/infra/local/processes.ts';
import { runLabel } from './container-owner.ts';

/** Ends or removes it, and tells what there was. */
export const removeLeaks = async (root: string): Promise<readonly string[]> => [
  ...(await removeContainersOf(root)),
  ...(await endProcessesOf(root)), // After the containers: some of their processes are seen from here.
];

/** Processes that work in a directory or below, or got a path there. */
export const endProcessesOf = async (root: string): Promise<readonly string[]> => {
  const pids = (await processesUsing(root)).filter((pid) => pid !== process.pid);
  const marks = pids.map(markOf).filter((mark) => mark !== null);
  const described = marks.map(({ pid }) => `process ${pid} ${commandOf(pid)}`.trimEnd());
  await endProcesses(marks, 'SIGKILL', 5_000);
  return described;
};

const removeContainersOf = async (root: string): Promise<readonly string[]> => {
  const { getContainerRuntimeClient } = await import('testcontainers');
  const client = await getContainerRuntimeClient().catch(() => undefined);
  if (client === undefined) return [];
  const labelled = { all: true, filters: { label: [`${runLabel}=${root}`] } };
  const found = await client.container.dockerode.listContainers(labelled);
  for (const { Id } of found) await client.container.getById(Id).remove({ force: true, v: true });
  return found.map(({ Image, Names }) => `container ${Names[0] ?? ''} of ${Image}`);
};

/** What keeps this process alive, for instance `Timeout` or `TCPSocketWrap`, once for each that there is. */
export const resourcesInUse = (): readonly string[] => process.getActiveResourcesInfo();

/** What is in use beyond what was before. Something that was just closed may take a moment to go, and is waited for. */
export const resourcesLeftSince = async (before: readonly string[], patienceMs = 2_000): Promise<readonly string[]> => {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const left = without(resourcesInUse(), before);
    if (left.length === 0 || performance.now() > deadline) return left;
    await delay(20, undefined, { ref: false });
  }
};

const without = (some: readonly string[], others: readonly string[]): readonly string[] => {
  const left = [...others];
  return some.filter((one) => {
    const index = left.indexOf(one);
    if (index >= 0) left.splice(index, 1);
    return index < 0;
  });
};

const commandOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return ''; // It has ended meanwhile.
  }
};

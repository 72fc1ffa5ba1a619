/**
 * What a demo would leave behind if it were killed: kept in a file while it runs, cleared by itself or by the next one.
 * Processes are ended only when id, start time and boot are those on record (ours, or that of a unit for its PgBouncers),
 * or when they run on a file in the demo's directory, whose name is random.
 */
import { readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readWhole, writeAtomic } from '../files/atomic-file.ts';
import { clearCluster } from './postgres.ts';
import { endProcesses, isAlive, markOf, type ProcessMark, processesWithArgument } from './process-mark.ts';

export interface Remains {
  readonly owner: ProcessMark;
  readonly directory: string;
  /** Sockets and directories of the units outside it. */
  readonly runPaths: readonly string[];
  /** A directory that goes when nothing else is in it. */
  readonly runDir: string | null;
  /** Where in the directory PostgreSQL is. */
  readonly clusters: readonly string[];
  readonly units: readonly ProcessMark[];
  readonly servers: readonly ProcessMark[];
}

/** Those of a demo that runs, or was killed; null when there is nothing on record. */
export const readRemains = async (file: string): Promise<Remains | null> => {
  const text = await readWhole(file, 1_000_000);
  if (text === null) return null;
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new Error(`cannot tell from ${file} what an earlier demo left behind: look at it, then remove it`, { cause });
  }
};

export const writeRemains = (file: string, remains: Remains): Promise<void> =>
  writeAtomic(file, JSON.stringify(remains), 0o600);

/** Ends everything, coordinators first (they would start their PgBouncers again), and removes every trace, `file` last. */
export const clearRemains = async (file: string, remains: Remains): Promise<void> => {
  await endProcesses(remains.units, 'SIGKILL', 0);
  await endProcesses(await instancesOf(remains.directory), 'SIGINT', 1_000);
  await endProcesses(remains.servers, 'SIGINT', 5_000);
  for (const cluster of remains.clusters) await clearCluster(cluster);
  for (const path of [remains.directory, ...remains.runPaths]) await rm(path, { recursive: true, force: true });
  await rm(file, { force: true });
  if (remains.runDir !== null) await rmdir(remains.runDir).catch(() => {}); // Somebody else uses it by now.
};

export const isOwnerAlive = ({ owner }: Remains): boolean => isAlive(owner);

const markSchema = z.object({ pid: z.int().positive(), startedAt: z.int(), bootId: z.string() });
const inScratch = z.string().regex(/^\/tmp\/troupe-demo-[A-Za-z0-9_-]+(\/[a-z0-9-]+)*$/);
const schema = z.object({
  owner: markSchema,
  directory: inScratch,
  runPaths: z.array(z.string().startsWith('/')),
  runDir: z.string().startsWith('/').nullable(),
  clusters: z.array(inScratch),
  units: z.array(markSchema),
  servers: z.array(markSchema),
});

/** PgBouncers outlive their coordinator: by the record it keeps of each, and by the ini they run on. */
const instancesOf = async (directory: string): Promise<readonly ProcessMark[]> => {
  const files = await readdir(directory, { recursive: true }).catch(() => []);
  const records = files.filter((name) => name.endsWith('/process.json'));
  const texts = await Promise.all(records.map((name) => readWhole(join(directory, name), 10_000)));
  const recorded = texts.map((text) => recordSchema.safeParse(parsed(text)).data?.mark);
  const running = await processesWithArgument(
    (argument) => argument.startsWith(`${directory}/`) && argument.endsWith('.ini'),
  );
  return [...recorded, ...running.map(markOf)].filter((mark) => mark !== undefined && mark !== null);
};

const recordSchema = z.object({ mark: markSchema });

const parsed = (text: string | null): unknown => {
  try {
    return JSON.parse(text ?? 'null');
  } catch {
    return null; // Cut off in the middle: the arguments tell.
  }
};

/**
 * What a demo would leave behind if it were killed: kept in a file while it runs, cleared by itself or by the next one.
 * Processes are ended only when id, start time and boot are those on record (ours, or that of a unit for its PgBouncers),
 * or when they run on an ini in the demo's directory, whose name is random.
 */
import { constants } from 'node:fs';
import { mkdir, open, readdir, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { readWhole, writeAtomic } from '../files/atomic-file.ts';
import { clearCluster } from './postgres.ts';
import { endProcesses, processesWithArgument, userOf } from './processes.ts';
import { isAlive, markOf, type ProcessMark } from '../files/process-mark.ts';

export interface Remains {
  readonly owner: ProcessMark;
  /** Account of servers and PgBouncers. */
  readonly uid: number;
  /** Everything of the demo but its sockets. */
  readonly directory: string;
  /** The directory of sockets, when it was not there before and goes with the demo. */
  readonly runDirMade: string | null;
  /** Sockets, and directories of sockets, of its units. */
  readonly runPaths: readonly string[];
  /** Where PostgreSQL keeps its data. */
  readonly cluster: string;
  readonly units: readonly ProcessMark[];
  readonly servers: readonly ProcessMark[];
}

/** Not now: the message says what is in the way. */
export class DemoRefused extends Error {
  override readonly name = 'DemoRefused';
}

/** The record of the one demo that a run directory can have. */
export class RemainsRecord {
  readonly #file: string;
  #remains: Remains;
  #written: Promise<void> = Promise.resolve();

  private constructor(file: string, remains: Remains) {
    this.#file = file;
    this.#remains = remains;
  }

  /** For a directory where no earlier demo is on record any more. */
  static async claim(
    runDir: string,
    about: Pick<Remains, 'uid' | 'directory' | 'runPaths' | 'cluster'>,
  ): Promise<RemainsRecord> {
    const made = await mkdir(runDir, { recursive: true, mode: 0o755 });
    await refuseForeign(runDir, about.uid);
    const owner = markOf(process.pid);
    if (owner === null) throw new Error('cannot see this process in /proc: the demo needs Linux');
    const runDirMade = made === undefined ? null : runDir;
    const remains: Remains = { ...about, owner, runDirMade, units: [], servers: [] };
    await create(fileIn(runDir), remains);
    return new RemainsRecord(fileIn(runDir), remains);
  }

  /** To be called as soon as a process of the demo has been started. */
  add(kind: 'units' | 'servers', mark: ProcessMark | null): Promise<void> {
    if (mark === null) return this.#written; // It has ended already.
    this.#remains = { ...this.#remains, [kind]: [...this.#remains[kind].filter(isAlive), mark] };
    this.#written = this.#written.then(() => writeAtomic(this.#file, JSON.stringify(this.#remains), 0o600));
    return this.#written;
  }

  async clear(): Promise<void> {
    await this.#written;
    await clear(this.#file, this.#remains);
  }
}

/** Clears what an earlier demo left that was killed; refuses while another one runs. */
export const clearEarlier = async (runDir: string): Promise<void> => {
  const file = fileIn(runDir);
  const found = await readOurs(file);
  if (found === null) return;
  const { success, data } = schema.safeParse(parsed(found.text));
  if (!success || !found.isOurs || !data.runPaths.every((path) => dirname(path) === runDir))
    throw new DemoRefused(`cannot tell from ${file} what an earlier demo left behind: look at it, then remove it`);
  if (isAlive(data.owner)) refuse(runDir, data.owner.pid);
  await clear(file, data);
};

/** Whoever owns the directory could put other files in the place of ours. */
const refuseForeign = async (runDir: string, account: number): Promise<void> => {
  const { uid } = await stat(runDir);
  if (uid === 0 || uid === account || uid === process.getuid?.()) return;
  throw new DemoRefused(
    `${runDir} belongs to somebody else (user id ${uid}): set TROUPE_RUN_DIR to a directory of yours`,
  );
};

/** The directory may belong to the account that units run as: what it wrote there is not ours. */
const readOurs = async (path: string): Promise<{ readonly text: string; readonly isOurs: boolean } | null> => {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    return { text: await file.readFile('utf8'), isOurs: (await file.stat()).uid === process.getuid?.() };
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null;
    throw cause;
  }
};

const fileIn = (runDir: string): string => join(runDir, 'demo.json');

/** Two that start at the same moment: one of them is refused. */
const create = async (path: string, remains: Remains): Promise<void> => {
  try {
    const file = await open(path, 'wx', 0o600);
    await file.writeFile(JSON.stringify(remains));
    await file.close();
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') refuse(path);
    throw cause;
  }
};

const refuse = (place: string, pid?: number): never => {
  const who = pid === undefined ? 'another demo starts' : `a demo runs already (process ${pid})`;
  throw new DemoRefused(
    `${who} with its sockets in ${place}: end that one first, or set TROUPE_RUN_DIR to another directory`,
  );
};

/** Ends everything, coordinators first (they would start their PgBouncers again), and removes every trace, the record last. */
const clear = async (file: string, remains: Remains): Promise<void> => {
  await endProcesses(remains.units, 'SIGKILL', 0);
  await endProcesses(await instancesOf(remains), 'SIGINT', 1_000);
  await endProcesses(remains.servers, 'SIGINT', 5_000);
  await clearCluster(remains.cluster);
  for (const path of [remains.directory, ...remains.runPaths]) await rm(path, { recursive: true, force: true });
  await rm(file, { force: true });
  if (remains.runDirMade !== null) await rmdir(remains.runDirMade).catch(() => {}); // Somebody else uses it by now.
};

/**
 * PgBouncers outlive their coordinator: found by the record it keeps of each, and by the ini they run on. The account may
 * write anything there, so only its own processes are taken for one.
 */
const instancesOf = async ({ directory, uid }: Remains): Promise<readonly ProcessMark[]> => {
  const files = await readdir(directory, { recursive: true }).catch(() => []);
  const records = files.filter((name) => name.endsWith('/process.json'));
  const texts = await Promise.all(records.map((name) => readWhole(join(directory, name), 10_000)));
  const recorded = texts.map((text) => recordSchema.safeParse(parsed(text ?? '')).data?.mark);
  const isIni = (argument: string): boolean => argument.startsWith(`${directory}/`) && argument.endsWith('.ini');
  const running = (await processesWithArgument(isIni)).map(markOf);
  const marks = [...recorded, ...running].filter((mark) => mark !== undefined && mark !== null);
  return marks.filter((mark) => userOf(mark.pid) === uid);
};

const markSchema = z.object({ pid: z.int().positive(), startedAt: z.int(), bootId: z.string() });
const recordSchema = z.object({ mark: markSchema });
/** What is named here is removed, by root perhaps: so nothing but what a demo would name. */
const inScratch = z.string().regex(/^\/tmp\/troupe-demo-[a-z0-9]+(\/[a-z0-9-]+)*$/);
const schema = z.object({
  owner: markSchema,
  uid: z.int(),
  directory: inScratch,
  runDirMade: z.string().startsWith('/').nullable(),
  runPaths: z.array(z.string().startsWith('/')),
  cluster: inScratch,
  units: z.array(markSchema),
  servers: z.array(markSchema),
});

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return null; // Cut off in the middle.
  }
};

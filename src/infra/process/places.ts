import { chmod, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { InstanceLayout } from '../../actors/model/workload.ts';
import { codeOf } from '../files/system-error.ts';

/** Where a unit keeps its PgBouncers: one directory for each instance, one auth file for all. */
export interface UnitPlace {
  readonly root: string;
  readonly instances: string;
  readonly authFile: string;
  readonly probe: string;
  /** Key, certificate and authorities for clients, in a directory for each content. */
  readonly tls: string;
  /** Copies that are tried out before anything is written. */
  readonly proving: string;
  readonly sockets: string;
}

export interface InstancePlace extends InstanceLayout {
  readonly directory: string;
  /** PgBouncer's stdout and stderr. */
  readonly log: string;
  /** Which process runs here. */
  readonly record: string;
}

/** A path that PgBouncer would cut off silently, and then listen at a name nobody knows. */
export class SocketPathTooLong extends Error {
  override readonly name = 'SocketPathTooLong';
}

export const unitPlace = (stateDir: string, runDir: string | undefined): UnitPlace => ({
  root: stateDir,
  instances: join(stateDir, 'instances'),
  authFile: join(stateDir, 'userlist.txt'),
  probe: join(stateDir, 'probe.json'),
  tls: join(stateDir, 'tls'),
  proving: join(stateDir, 'proving'),
  sockets: runDir ?? join(stateDir, 'run'),
});

export const instancePlace = (unit: UnitPlace, id: number): InstancePlace => {
  const directory = join(unit.instances, String(id));
  return {
    id,
    directory,
    ini: join(directory, 'pgbouncer.ini'),
    log: join(directory, 'pgbouncer.log'),
    record: join(directory, 'process.json'),
    socketDir: join(unit.sockets, String(id)),
  };
};

/** Instance numbers that have a directory, also of an earlier life with more instances. */
export const instancesOnDisk = async (unit: UnitPlace): Promise<readonly number[]> =>
  (await readdir(unit.instances).catch(noneWhereMissing)).filter((name) => /^[1-9]\d*$/.test(name)).map(Number);

const noneWhereMissing = (cause: unknown): string[] => {
  if (codeOf(cause) === 'ENOENT') return [];
  throw cause;
};

/** Makes what is missing, for this account only. */
export const preparePlaces = async (unit: UnitPlace, instances: readonly InstancePlace[]): Promise<void> => {
  for (const { socketDir } of instances) refuseLongSocket(socketDir);
  await mkdir(unit.sockets, { recursive: true, mode: 0o700 });
  await Promise.all([unit.instances, unit.proving, unit.tls].map(privateDirectory));
  await Promise.all(instances.flatMap(({ directory, socketDir }) => [directory, socketDir]).map(privateDirectory));
};

/** Of coordinators that were killed in the middle of one; no proof takes a minute. */
export const removeForsakenProofs = async ({ proving }: UnitPlace): Promise<void> => {
  for (const name of await readdir(proving)) {
    const directory = join(proving, name);
    if (Date.now() - (await stat(directory)).mtimeMs > 60_000) await rm(directory, { recursive: true, force: true });
  }
};

const socketPathBytes = 107;

const refuseLongSocket = (socketDir: string): void => {
  const longest = Buffer.byteLength(join(socketDir, '.s.PGSQL.65535'));
  if (longest <= socketPathBytes) return;
  throw new SocketPathTooLong(
    `cannot use "${socketDir}" for the socket of an instance: its path would have up to ${longest} bytes and the system takes ${socketPathBytes}; choose a shorter run directory or state directory`,
  );
};

export const privateDirectory = async (directory: string): Promise<void> => {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  // Not on a file system that has become read-only and has all that is needed.
  if (((await stat(directory)).mode & 0o777) !== 0o700) await chmod(directory, 0o700);
};

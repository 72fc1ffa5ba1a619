import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inject } from 'vitest';
import { markOf, type ProcessMark, signalTo } from '../../src/infra/files/process-mark.ts';
import { endProcesses } from '../../src/infra/local/processes.ts';
import { startProcess } from '../../src/infra/local/server-process.ts';
import {
  environmentOf,
  startUnit,
  type UnitPlace,
  type UnitProcess,
  type UnitsOptions,
} from '../../src/infra/local/unit-process.ts';
import { ownedBy } from './container-owner.ts';
import { docker } from './docker.ts';

/** Where one unit of a fleet lives: its coordinator may end and be started again there, its PgBouncers live on. */
export interface UnitHome extends AsyncDisposable {
  start(): Promise<UnitProcess>;
}

/** As processes of this machine. */
export const homeHere = (options: UnitsOptions, place: UnitPlace): UnitHome => ({
  start: () => startUnit(options, place),
  [Symbol.asyncDispose]: async () => {},
});

/**
 * In a container of the image, on the network and among the processes of this machine: addresses and process ids are the same inside
 * and outside, and so are the paths of the fleet's directory. Its coordinator is started by us and not by the image, so that a test
 * decides how long it is away.
 */
export const homeInContainer = async (image: string, options: UnitsOptions, place: UnitPlace): Promise<UnitHome> => {
  const { directory, account, redis } = options;
  const { owner, root } = inject('testServers');
  const labels = Object.entries(ownedBy(owner, root)).flatMap(([name, value]) => ['--label', `${name}=${value}`]);
  const closed = ['--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges'];
  const shared = ['--network', 'host', '--pid', 'host', '--volume', `${directory}:${directory}`];
  const secret = ['--volume', `${redis.passwordFile}:${redis.passwordFile}:ro`];
  const unused = ['--tmpfs', '/var/lib/troupe', '--tmpfs', '/run/troupe']; // Else each would become a volume.
  const user = ['--user', `${account.uid}:${account.gid}`, '--no-healthcheck'];
  const idle = ['--entrypoint', 'tini', image, '-s', '--', 'sleep', 'infinity'];
  const id = (
    await docker(['run', '-d', ...labels, ...closed, ...shared, ...secret, ...unused, ...user, ...idle])
  ).trim();
  return {
    start: () => startInContainer(id, { ...options, pgbouncer: '/usr/sbin/pgbouncer' }, place),
    [Symbol.asyncDispose]: async () => void (await docker(['rm', '--force', '--volumes', id])),
  };
};

const startInContainer = async (id: string, options: UnitsOptions, place: UnitPlace): Promise<UnitProcess> => {
  const pidFile = join(options.directory, `unit-${place.number}.pid`);
  const settings = Object.entries(environmentOf(options, place)).flatMap(([name, value]) => [
    '--env',
    `${name}=${value}`,
  ]);
  const process = await startProcess({
    command: 'docker',
    args: ['exec', ...settings, id, 'sh', '-c', 'echo $$ >"$0" && exec troupe unit', pidFile],
    directory: '/',
    log: place.log,
    environment: engine,
    onSpawned: options.onSpawned,
  });
  const stop = async (): Promise<void> => {
    const coordinator = await coordinatorIn(pidFile);
    if (coordinator !== null && process.isRunning()) signalTo(coordinator, 'SIGCONT');
    if (coordinator !== null && process.isRunning()) await endProcesses([coordinator], 'SIGTERM', 10_000);
    await process.stop([['SIGTERM', 1_000]]);
  };
  return { process, stop };
};

const coordinatorIn = async (pidFile: string): Promise<ProcessMark | null> => {
  const pid = Number(await readFile(pidFile, 'utf8').catch(() => ''));
  return pid > 1 ? markOf(pid) : null;
};

/** What `docker` wants to know. */
const engine: Readonly<Record<string, string>> = Object.fromEntries(
  ['PATH', 'HOME', 'DOCKER_HOST'].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value]];
  }),
);

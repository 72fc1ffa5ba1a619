/** The real Pebble, when this machine has one: TROUPE_TEST_PEBBLE names it, else it is looked for where programs are. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { PebbleDaemon, PebbleOptions, PebbleProvider } from './daemon.ts';
import { untilAnswers } from './until-answers.ts';

export const realPebble = async (named: string | undefined): Promise<PebbleProvider> => {
  const program = named ?? 'pebble';
  try {
    const { stdout } = await promisify(execFile)(program, ['version', '--client']);
    const label = `Pebble ${stdout.trim()}`;
    return { label, reason: null, start: (options) => startRealPebble(program, label, options) };
  } catch {
    const where = named === undefined ? 'on the path (or named by TROUPE_TEST_PEBBLE)' : `at ${named}`;
    return {
      label: 'Pebble',
      start: null,
      reason: `there is no real Pebble ${where}: the small one is all that is tested`,
    };
  }
};

const startRealPebble = async (
  program: string,
  label: string,
  { directory, environment }: PebbleOptions,
): Promise<PebbleDaemon> => {
  const socket = join(directory, 'pebble.socket');
  const own = join(directory, 'state');
  await mkdir(own, { recursive: true });
  const boot = async (): Promise<ChildProcess> => {
    await rm(socket, { force: true });
    const child = spawn(program, ['run', '--create-dirs', '--hold'], {
      cwd: directory,
      env: { ...environment, PEBBLE: own, PEBBLE_SOCKET: socket },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const log = createWriteStream(join(directory, 'pebble.log'), { flags: 'a' });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    await untilAnswers(socket, child, () => `Pebble ended with exit code ${child.exitCode}`);
    return child;
  };
  let daemon: ChildProcess | null = await boot();
  const kill = async (): Promise<void> => {
    if (daemon === null) return;
    const gone = once(daemon, 'exit');
    const { pid = 0 } = daemon;
    // Frozen first, so that it starts nothing again while its services end.
    daemon.kill('SIGSTOP');
    for (const child of await childrenOf(pid)) killGroup(child);
    daemon.kill('SIGKILL');
    daemon = null;
    await gone;
  };
  return {
    socket,
    label,
    kill,
    startAgain: async () => {
      await kill();
      daemon = await boot();
    },
    [Symbol.asyncDispose]: kill,
  };
};

const childrenOf = async (parent: number): Promise<readonly number[]> => {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const parents = await Promise.all(
    pids.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    }),
  );
  return pids.filter((_, index) => parents[index] === parent);
};

const killGroup = (pid: number): void => {
  for (const target of [-pid, pid]) {
    try {
      process.kill(target, 'SIGKILL');
    } catch {
      // It leads no group, or has ended.
    }
  }
};

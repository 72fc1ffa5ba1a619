import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { Secret } from '../../src/actors/model/secret.ts';
import type { Layout, Rendered } from '../../src/actors/model/workload.ts';
import { type Account, spawnIds } from '../../src/infra/local/service-user.ts';
import { dryRunCopy } from '../../src/pgbouncer/dry-run.ts';
import { scramVerifier } from '../../src/pgbouncer/scram.ts';
import { parseVersion } from '../../src/pgbouncer/version.ts';
import type { Rows } from '../../src/pgbouncer/show.ts';
import { pgbouncerBinaries, testAccount, testDirectory } from '../support/servers.ts';

export interface ConsoleQuestion {
  readonly id: number;
  readonly account: Account;
  readonly socketDir: string;
  readonly port: number;
  readonly text: string;
}
export type ConsoleAnswer = { readonly id: number } & ({ readonly rows: Rows } | { readonly error: string });

/** Real programs with their versions; those that are not to be had come with the reason, for the test to say. */
export const programs = async () =>
  (await pgbouncerBinaries()).map(({ version, run, reason }) => ({
    name: version,
    run,
    reason: reason ?? '',
    version: parseVersion(version) ?? { major: 0, minor: 0, patch: 0 },
  }));

/** A directory with what the files of two instances name. */
export const openPlace = async (port: number): Promise<Place> => {
  const directory = await testDirectory('b-');
  const password = new Secret('probe-password');
  const layout: Layout = {
    listenAddress: '127.0.0.1',
    authFile: join(directory, 'userlist.txt'),
    retiring: [],
    probe: { username: 'troupe_probe', verifier: await scramVerifier(password, Buffer.alloc(16, 7)) },
    instances: [1, 2].map((id) => ({ id, ini: join(directory, `${id}.ini`), socketDir: join(directory, String(id)) })),
  };
  await Promise.all(
    layout.instances.map(async ({ socketDir }) => {
      await mkdir(socketDir, { mode: 0o700 });
      await own(socketDir);
    }),
  );
  return { directory, port, layout, password };
};
export interface Place {
  readonly directory: string;
  readonly port: number;
  readonly layout: Layout;
  readonly password: Secret;
}

export const writeFiles = async ({ layout }: Place, { authFile, instances }: Rendered): Promise<void> => {
  await writeOwned(layout.authFile, authFile.reveal());
  await Promise.all(
    layout.instances.map(({ id, ini }) => writeOwned(ini, instances.find((instance) => instance.id === id)?.ini ?? '')),
  );
};

export const writeOwned = async (file: string, content: string): Promise<void> => {
  await writeFile(file, content, { mode: 0o600 });
  await own(file);
};

const own = async (path: string): Promise<void> => {
  const { uid, gid } = testAccount();
  if (process.getuid?.() === 0) await chown(path, uid, gid);
};

/** What the real program says about a copy of this file. */
export const dryRun = async (run: string, { directory, layout }: Place, ini: string) => {
  const file = join(directory, `dry-${dryRuns++}.ini`);
  await writeOwned(file, dryRunCopy(ini, layout.authFile));
  const child = spawn(run, [file], {
    cwd: '/',
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: 5_000,
    ...spawnIds(testAccount()),
  });
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  return { code: typeof code === 'number' ? code : null, stderr };
};
let dryRuns = 0;

/** Runs until the test ends, or all tests of the block when it is started in a hook that says so. */
export const startInstance = async (run: string, { layout, port, directory }: Place, id: number): Promise<Instance> => {
  const instance = layout.instances.find((one) => one.id === id);
  if (instance === undefined) throw new Error(`there is no instance ${id}`);
  const child = spawn(run, [instance.ini], {
    cwd: directory,
    stdio: ['ignore', 'ignore', 'pipe'],
    ...spawnIds(testAccount()),
  });
  const log = text(child.stderr);
  const gone = once(child, 'exit');
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await gone;
  };
  onTestFinished(stop);
  const console = askerAt(instance.socketDir, port);
  for (;;) {
    const answer = await console('SHOW VERSION');
    if ('rows' in answer) break;
    if (child.exitCode !== null) throw new Error(`PgBouncer ended: ${await log}`);
  }
  return {
    ask: console,
    rows: async (command) => {
      const answer = await console(command);
      if ('error' in answer) throw new Error(`${command}: ${answer.error}`);
      return answer.rows;
    },
  };
};
export interface Instance {
  readonly ask: (text: string) => Promise<ConsoleAnswer>;
  readonly rows: (text: string) => Promise<Rows>;
}

const askerAt = (socketDir: string, port: number): Instance['ask'] => {
  const child = fork(fileURLToPath(new URL('pgbouncer-console-process.ts', import.meta.url)), [], {
    execArgv: [],
    env: {},
  });
  const waiting = new Map<number, (answer: ConsoleAnswer) => void>();
  child.on('message', (answer: ConsoleAnswer) => waiting.get(answer.id)?.(answer));
  child.once('exit', () => {
    for (const [id, answer] of waiting) answer({ id, error: 'the console process has ended' });
  });
  onTestFinished(() => ended(child));
  let asked = 0;
  return (question) =>
    new Promise((resolve) => {
      const id = asked++;
      waiting.set(id, resolve);
      child.send({ id, account: testAccount(), socketDir, port, text: question } satisfies ConsoleQuestion);
    });
};

const ended = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
};

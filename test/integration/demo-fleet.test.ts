import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { processesUsing } from '../../src/infra/local/processes.ts';
import { isAlive, markOf, type ProcessMark } from '../../src/infra/files/process-mark.ts';
import { spawnIds } from '../../src/infra/local/service-user.ts';
import { testAccount, testDirectory } from '../support/servers.ts';

it('starts again what is killed, and leaves nothing when it is told to end', async () => {
  const runDir = join(await testDirectory(), 'run');
  const { child, ready, said } = await fleetIn(runDir);
  const before = await marksOf(ready.directory);
  expect(before.map(({ name }) => name).toSorted()).toEqual(['postgres', 'redis-server', 'sleep', 'sleep']);

  for (const { mark } of before) process.kill(mark.pid, 'SIGKILL');
  await expect.poll(() => said().match(/ runs again/g)?.length, { timeout: 20_000 }).toBe(4);
  const after = await marksOf(ready.directory);
  expect(after.map(({ name }) => name).toSorted()).toEqual(before.map(({ name }) => name).toSorted());

  await terminate(child);
  expect([...before, ...after].filter(({ mark }) => isAlive(mark))).toEqual([]);
  expect([existsSync(ready.directory), existsSync(runDir)]).toEqual([false, false]);
});

it('clears away what an earlier one left that was killed, PgBouncers that nobody watches included', async () => {
  const runDir = join(await testDirectory(), 'run');
  const first = await fleetIn(runDir);
  const orphan = await pretendInstance(first.ready.directory);
  const left = [...(await marksOf(first.ready.directory)).map(({ mark }) => mark), orphan];
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  expect(left.filter(isAlive)).toEqual(left);

  const second = await fleetIn(runDir);
  expect(left.filter(isAlive)).toEqual([]);
  expect(existsSync(first.ready.directory)).toBe(false);
  await terminate(second.child);
  expect(await readdir(join(runDir, '..'))).toEqual([]);
});

it('ends nobody whose process id only happens to be on record', async () => {
  const runDir = join(await testDirectory(), 'run');
  const first = await fleetIn(runDir);
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  const bystander = spawn('/bin/sleep', ['600'], { stdio: 'ignore' });
  onTestFinished(() => void bystander.kill('SIGKILL'));
  const record = JSON.parse(await readFile(join(runDir, 'demo.json'), 'utf8'));
  const stranger = { ...record.units[0], pid: bystander.pid };
  await writeFile(join(runDir, 'demo.json'), JSON.stringify({ ...record, units: [...record.units, stranger] }));

  const second = await fleetIn(runDir);
  expect(bystander.signalCode).toBe(null);
  await terminate(second.child);
});

it('refuses while another one runs, and while somebody else answers where its unit would', async () => {
  const runDir = join(await testDirectory(), 'run');
  const first = await fleetIn(runDir);
  await expect(fleetIn(runDir)).rejects.toThrow(`a demo runs already (process ${first.child.pid})`);
  await terminate(first.child);

  const elsewhere = await testDirectory();
  await chmod(elsewhere, 0o755);
  const stranger = createServer().listen(join(elsewhere, 'sleepers-1.sock'));
  await once(stranger, 'listening');
  onTestFinished(() => void stranger.close());
  await expect(fleetIn(elsewhere)).rejects.toThrow('a unit that is not of this demo answers');
  expect(await readdir(elsewhere)).toEqual(['sleepers-1.sock']);
});

it('trusts neither a directory nor a record that somebody else may have written', async ({ skip }) => {
  if (process.getuid?.() !== 0) return skip('only root can give files away');
  const stranger = testAccount().uid === 65_534 ? 1 : 65_534;
  const foreign = join(await testDirectory(), 'run');
  await mkdir(foreign);
  await chown(foreign, stranger, stranger);
  await expect(fleetIn(foreign)).rejects.toThrow(`${foreign} belongs to somebody else`);

  const runDir = join(await testDirectory(), 'run');
  const first = await fleetIn(runDir);
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  const record = join(runDir, 'demo.json');
  await chown(record, testAccount().uid, testAccount().gid);
  await expect(fleetIn(runDir)).rejects.toThrow(`cannot tell from ${record}`);
  expect(existsSync(first.ready.directory)).toBe(true);

  await chown(record, 0, 0);
  await terminate((await fleetIn(runDir)).child);
});

const readySchema = z.object({ endpoint: z.string(), directory: z.string(), units: z.array(z.unknown()) });

/** Rejects with its last words when it ends before it is ready. */
const fleetIn = async (runDir: string) => {
  const program = fileURLToPath(new URL('../support/local-fleet-process.ts', import.meta.url));
  const child = spawn(process.execPath, [program, runDir], { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => terminate(child));
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words += text;
  });
  const line = await Promise.race([once(createInterface(child.stdout), 'line'), once(child, 'exit').then(() => null)]);
  if (line === null) throw new Error(words);
  return { child, ready: readySchema.parse(JSON.parse(String(line[0]))), said: () => words };
};

const terminate = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
};

/** The servers and units of a fleet, without PostgreSQL's own children. */
const marksOf = async (
  directory: string,
): Promise<readonly { readonly name: string; readonly mark: ProcessMark }[]> => {
  const found = await Promise.all(
    (await processesUsing(directory)).map(async (pid) => {
      const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
      const [, name = ''] = /^Name:\s(.*)$/m.exec(status) ?? [];
      const parent = Number(/^PPid:\s(\d+)$/m.exec(status)?.[1]);
      return { name, parent, mark: markOf(pid) };
    }),
  );
  const pids = new Set(found.map(({ mark }) => mark?.pid));
  return found.flatMap(({ name, parent, mark }) => (mark === null || pids.has(parent) ? [] : [{ name, mark }]));
};

/** What outlives a coordinator: a process that runs on an ini below the directory. */
const pretendInstance = async (directory: string): Promise<ProcessMark> => {
  const ini = join(directory, 'pgbouncer.ini');
  const asAccount = { ...spawnIds(testAccount()), cwd: '/', stdio: 'ignore', detached: true } as const;
  await writeFile(ini, '');
  const child = spawn('/usr/bin/tail', ['-f', ini], asAccount);
  await once(child, 'spawn');
  const mark = markOf(child.pid ?? 0);
  if (mark === null) throw new Error('it has ended already');
  return mark;
};

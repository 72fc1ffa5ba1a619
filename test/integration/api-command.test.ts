import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, it, onTestFinished } from 'vitest';
import { openApi } from '../../src/infra/http/server.ts';
import { MemoryFleet } from '../support/memory-fleet.ts';
import { testDirectory, troupeProgram } from '../support/servers.ts';

const main = await troupeProgram();

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const fleetIn = async (options: { readonly held?: boolean } = {}) => {
  const fleet = new MemoryFleet(options);
  const runDir = join(await testDirectory(), 'run');
  const api = await openApi({
    fleet: fleet.seenFrom(0),
    socket: join(runDir, 'pgbouncer-0.sock'),
    tcp: null,
    log: silent,
    version: '0',
  });
  onTestFinished(() => api[Symbol.asyncDispose]());
  return { fleet, runDir };
};

/** `troupe` as a process of its own, in a shell as people use it. */
const troupe = (runDir: string, line: string) => {
  const child = spawn('/bin/sh', ['-c', line.replaceAll('troupe ', 'exec "$node" "$main" ')], {
    env: { node: process.execPath, main, TROUPE_RUN_DIR: runDir },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const ended = Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)]).then(
    ([[code, signal], stdout, stderr]) => ({ code, signal, stdout, stderr }),
  );
  return { child, ended };
};

it('ends by itself as soon as what it waited for is there, with nothing but text in a pipe', async () => {
  const { fleet, runDir } = await fleetIn();
  const changed = await troupe(runDir, 'troupe config pool_mode=transaction').ended;
  expect(changed).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('generation 1 is verified by every unit\n'),
  });
  expect(fleet.intent?.options).toEqual({ pool_mode: 'transaction' });
  const status = await troupe(runDir, 'troupe status').ended;
  expect([status.code, status.stderr]).toEqual([0, '']);
  expect(status.stdout).toContain('pgbouncer/0*');
  expect(status.stdout).not.toContain('\u001b');
});

it('tells the exit codes and one sentence, never a stack', async () => {
  const { runDir } = await fleetIn({ held: true });
  const runs = [
    ['troupe nonsense', 2],
    ['troupe dsn nobody', 2],
    ['troupe integrate client orders --database orders', 4],
    ['troupe config pool_mode=transaction --timeout 0.2', 5],
    [`troupe status --api ${runDir}/none.sock`, 3],
  ] as const;
  const ends = await Promise.all(runs.map(([line]) => troupe(runDir, line).ended));
  expect(ends.map(({ code }) => code)).toEqual(runs.map(([, code]) => code));
  for (const { stderr } of ends) expect(stderr).toMatch(/^(waiting [^\n]*\n)*troupe: [^\n]+\n$/);
});

it('is not hurt by a reader that leaves early', async () => {
  const { runDir } = await fleetIn();
  const { stdout, stderr } = await troupe(runDir, '{ (troupe config); echo "code $?" >&2; } | true').ended;
  expect([stdout, stderr]).toEqual(['', 'code 0\n']);
});

it('takes a password from standard input', async () => {
  const { fleet, runDir } = await fleetIn();
  const line = 'troupe integrate backend main --endpoints db1:5432 --username admin --password-file -';
  const { child, ended } = troupe(runDir, line);
  child.stdin.end('from a pipe\n');
  expect(await ended).toMatchObject({ code: 0, stdout: 'backend main is reached\n' });
  expect(fleet.intent?.backends['main']?.password.reveal()).toBe('from a pipe');
});

it('ends at once on Ctrl-C while it waits; the change is kept', async () => {
  const { fleet, runDir } = await fleetIn({ held: true });
  const { child, ended } = troupe(runDir, 'troupe config pool_mode=transaction');
  await expect.poll(() => fleet.watchers, { timeout: 10_000 }).toBe(1);
  child.kill('SIGINT');
  expect(await ended).toMatchObject({ signal: 'SIGINT' });
  await expect.poll(() => fleet.watchers).toBe(0);
  expect(fleet.intent?.version).toBe(1);
});

it('watches until Ctrl-C, which is no failure', async () => {
  const { fleet, runDir } = await fleetIn({ held: true });
  const { child, ended } = troupe(runDir, 'troupe status --watch');
  await expect.poll(() => fleet.watchers, { timeout: 10_000 }).toBe(1);
  child.kill('SIGINT');
  expect(await ended).toMatchObject({ code: 0, signal: null, stdout: expect.stringContaining('pgbouncer/0: ') });
});

it('watches until its reader has left', async () => {
  const { fleet, runDir } = await fleetIn({ held: true });
  const { ended } = troupe(runDir, '{ (troupe status --watch); echo "code $?" >&2; } | head -1');
  const changes = setInterval(() => fleet.say(1, `lacks ${Math.random()}`), 50);
  onTestFinished(() => clearInterval(changes));
  expect(await ended).toMatchObject({ code: 0, stderr: 'code 0\n' });
});

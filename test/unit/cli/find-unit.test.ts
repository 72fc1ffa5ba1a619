import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MemoryFleet } from '../../support/memory-fleet.ts';
import { serve, temporaryDirectory } from '../api/harness.ts';
import { fleetWithCli, runIn } from './harness.ts';

const answeredBy = (stdout: string): unknown => JSON.parse(stdout).answeredBy;

/** Takes connections and never says a word, as a stopped process does. */
const silentAt = async (socket: string): Promise<void> => {
  const server = createServer((connection) => void connection.on('error', () => {}));
  server.listen(socket);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
};

describe('a unit is found', () => {
  it('by the sockets of the run directory, the first that answers', async () => {
    const { run, socketOf, runDir } = await fleetWithCli({ units: [10, 2] });
    await writeFile(socketOf(0), 'no socket at all');
    await writeFile(join(runDir, 'notes.txt'), '');
    await mkdir(join(runDir, 'pgbouncer-1'));
    const { code, stdout } = await run('status', '--json');
    expect([code, answeredBy(stdout)]).toEqual([0, 'pgbouncer/2']);
  });

  it('beside some that hang, without their time', { timeout: 4_000 }, async () => {
    const { run, socketOf } = await fleetWithCli({ units: [3] });
    await Promise.all([0, 1, 2].map((number) => silentAt(socketOf(number))));
    const { code, stdout } = await run('status', '--json');
    expect([code, answeredBy(stdout)]).toEqual([0, 'pgbouncer/3']);
  });

  it('by --api, else by TROUPE_API, and there only', async () => {
    const { runDir, socketOf } = await fleetWithCli({ units: [0, 1, 2] });
    const environment = { TROUPE_API: socketOf(1) };
    const byVariable = await runIn({ runDir, environment }, 'status', '--json');
    const byFlag = await runIn({ runDir, environment }, 'status', '--json', '--api', `unix:${socketOf(2)}`);
    expect([byVariable, byFlag].map(({ stdout }) => answeredBy(stdout))).toEqual(['pgbouncer/1', 'pgbouncer/2']);
    const gone = await runIn({ runDir }, 'status', '--api', socketOf(7));
    expect([gone.code, gone.stderr]).toEqual([
      3,
      `troupe: the unit does not answer: ${socketOf(7)}: there is no such socket\n`,
    ]);
  });

  it('of the only application; among several the operator has to choose', async () => {
    const { run, runDir } = await fleetWithCli();
    await serve(new MemoryFleet().seenFrom(0), join(runDir, 'other-3.sock'));
    const { code, stderr } = await run('status');
    expect(code).toBe(2);
    expect(stderr).toContain(`--api ${join(runDir, 'pgbouncer-0.sock')} (pgbouncer)`);
    expect(stderr).toContain(`--api ${join(runDir, 'other-3.sock')} (other)`);
    expect((await run('status', '--api', join(runDir, 'other-3.sock'))).code).toBe(0);
  });
});

describe('no unit is found, and the exit code is 3, with one sentence', () => {
  it('in a directory that is not there, or empty', async () => {
    const runDir = join(await temporaryDirectory(), 'run');
    const sentence = `troupe: there is no unit in ${runDir}: start one (troupe unit, troupe demo), or name its socket with --api or TROUPE_API\n`;
    expect(await runIn({ runDir }, 'status')).toEqual({ code: 3, stdout: '', stderr: sentence });
    await mkdir(runDir);
    expect((await runIn({ runDir }, 'dsn', 'x')).stderr).toBe(sentence);
  });

  it('among dead sockets', async () => {
    const runDir = await temporaryDirectory();
    const server = createServer().listen(join(runDir, 'pgbouncer-0.sock'));
    await once(server, 'listening');
    server.close();
    await writeFile(join(runDir, 'pgbouncer-1.sock'), '');
    const { code, stderr } = await runIn({ runDir }, 'config', 'pool_mode=session');
    expect(code).toBe(3);
    expect(stderr).toMatch(/^troupe: no unit in .* answers \(.*pgbouncer-1\.sock: .*\): start one, .*\n$/);
  });

  it('among those that hang', async () => {
    const runDir = await temporaryDirectory();
    await silentAt(join(runDir, 'pgbouncer-0.sock'));
    const { code, stderr } = await runIn({ runDir }, 'status');
    expect([code, stderr]).toEqual([3, expect.stringContaining('pgbouncer-0.sock: no answer in time')]);
  });

  it('where something else answers', async () => {
    const runDir = await temporaryDirectory();
    const server = createServer((connection) => connection.end('220 mail.example ESMTP\r\n'));
    server.listen(join(runDir, 'pgbouncer-0.sock'));
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const { code, stderr } = await runIn({ runDir }, 'status');
    expect([code, stderr.split('\n').length]).toEqual([3, 2]);
  });

  it('in a directory that is closed to us', async ({ skip }) => {
    skip(process.getuid?.() === 0, 'root may look everywhere');
    const runDir = await temporaryDirectory();
    await chmod(runDir, 0o000);
    const { code, stderr } = await runIn({ runDir }, 'status');
    expect([code, stderr]).toEqual([3, expect.stringContaining('may not look for units')]);
  });
});

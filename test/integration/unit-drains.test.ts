import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { describe, expect, it } from 'vitest';
import { probeLogin } from '../../src/infra/process/probe.ts';
import { LoneUnit } from '../support/lone-unit.ts';
import { RestartedUnit } from '../support/restarted-unit.ts';
import { pgbouncerBinaries, testDirectory, troupeProgram } from '../support/servers.ts';

const main = await troupeProgram();
const [oldest, drains] = await pgbouncerBinaries();

describe.each([oldest, drains].filter((one) => one !== undefined))('a unit of PgBouncer $version', (binary) => {
  const { run: pgbouncer, reason } = binary;

  it('told to stop is not ready at once, serves on until its client leaves, and tells that nobody was cut', async ({
    skip,
  }) => {
    if (pgbouncer === null) return skip(reason ?? '');
    await using unit = await RestartedUnit.open({ command: [main, 'unit'], pgbouncer, environment: patient });
    const client = await connect(unit);
    expect(await unit.answers('/readiness')).toBe(200);
    unit.signal('SIGTERM');
    await unit.until(({ message }) => message.startsWith('stopping: load balancers have until'));
    expect(await unit.answers('/readiness')).toBe(503);
    const draining = await unit.until(({ message }) => message.includes('left'));
    expect(draining.message).toMatch(
      /1 client left \(pgbouncer\/troupe_probe 1\); whoever is still there at .* is cut/,
    );
    expect((await client.query('SHOW VERSION')).rows).toHaveLength(1);
    await client.end();
    expect(await unit.ended()).toBe('ended with code 0');
    expect(await readFile(unit.log, 'utf8')).toMatch(/"reason":"stopped, nobody was cut"/);
  }, 60_000);

  it('told so twice cuts who is left, names them, and is there again when it is started', async ({ skip }) => {
    if (pgbouncer === null) return skip(reason ?? '');
    await using unit = await RestartedUnit.open({ command: [main, 'unit'], pgbouncer, environment: patient });
    await connect(unit);
    unit.signal('SIGINT');
    await unit.until(({ message }) => message.includes('1 client left'));
    unit.signal('SIGTERM');
    expect(await unit.ended()).toBe('ended with code 0');
    const log = await readFile(unit.log, 'utf8');
    expect(log).toMatch(
      /"clients":\[\{[^\]]*"user":"troupe_probe"[^\]]*"address":"127.0.0.1".*"msg":"clients are cut"/,
    );
    expect(log).toMatch(/"reason":"stopped, 1 client cut \(pgbouncer\/troupe_probe 1\)"/);
    await unit.start();
    await unit.until(({ status }) => status === 'active');
  }, 60_000);
});

describe.skipIf(drains === undefined)('a unit that waits for its store to give it a number', () => {
  it('told to stop ends soon, and says that nothing was drained', async () => {
    const directory = await testDirectory('u-');
    for (const name of ['password', 'key'])
      await writeFile(join(directory, name), `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    await using unit = await LoneUnit.open({
      binary: drains?.run ?? '',
      directory,
      environment: {
        TROUPE_BACKPLANE: 'redis://127.0.0.1:1',
        TROUPE_BACKPLANE_PASSWORD_FILE: join(directory, 'password'),
        TROUPE_SECRET_KEY_FILE: join(directory, 'key'),
      },
    });
    await expect.poll(() => hears('SIGHUP', unit.pid), { timeout: 20_000 }).toBe(true);
    unit.signal('SIGTERM');
    const { code, said } = await unit.ended();
    expect(code).toBe(143);
    expect(said.trim().split('\n').at(-1)).toMatch(
      /^troupe: told to end before this unit had begun: nothing was drained/,
    );
  }, 60_000);
});

/** Whether the process itself decides what the signal does to it: of SIGHUP Node leaves that to the program. */
const hears = async (signal: 'SIGHUP', pid: number): Promise<boolean> => {
  const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0';
  return (BigInt(`0x${caught}`) & (1n << BigInt(constants.signals[signal] - 1))) !== 0n;
};

const patient = { TROUPE_DRAIN_DELAY: '1', TROUPE_DRAIN_DEADLINE: '40' };

const connect = async (unit: RestartedUnit): Promise<Client> => {
  const { username, password } = await probeLogin(join(unit.stateDir, 'probe.json'));
  const login = { user: username, password: password.reveal(), database: 'pgbouncer' };
  const client = new Client({ host: '127.0.0.1', port: unit.port, ...login });
  client.on('error', () => {}); // It may be cut.
  await client.connect();
  return client;
};

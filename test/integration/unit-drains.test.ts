import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { describe, expect, it } from 'vitest';
import { probeLogin } from '../../src/infra/process/probe.ts';
import { RestartedUnit } from '../support/restarted-unit.ts';
import { pgbouncerBinaries, troupeProgram } from '../support/servers.ts';

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

const patient = { TROUPE_DRAIN_DELAY: '1', TROUPE_DRAIN_DEADLINE: '40' };

const connect = async (unit: RestartedUnit): Promise<Client> => {
  const { username, password } = await probeLogin(join(unit.stateDir, 'probe.json'));
  const login = { user: username, password: password.reveal(), database: 'pgbouncer' };
  const client = new Client({ host: '127.0.0.1', port: unit.port, ...login });
  client.on('error', () => {}); // It may be cut.
  await client.connect();
  return client;
};

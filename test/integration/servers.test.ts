import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, readlink, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../src/infra/local/free-port.ts';
import { asSuperuser, createAdministrator } from '../../src/infra/local/postgres.ts';
import { spawnIds } from '../../src/infra/local/service-user.ts';
import {
  freshDatabase,
  pgbouncerBinaries,
  postgresServers,
  redisServers,
  testAccount,
  testDirectory,
  useServer,
} from '../support/servers.ts';

describe.each(redisServers())('%s', (_, start) => {
  it('keeps every write when it is killed, and answers again at the same port', async () => {
    const server = await start('own');
    onTestFinished(() => server.stop());
    const redis = new Redis({ host: server.host, port: server.port, password: server.password.reveal() });
    redis.on('error', () => {}); // It is killed below.
    onTestFinished(() => redis.disconnect());
    await redis.set('kept', 'yes');
    await server.kill();
    await server.startAgain();
    expect(await redis.get('kept')).toBe('yes');
  });

  it('refuses who has no password', async () => {
    const server = await start();
    const redis = new Redis({ host: server.host, port: server.port });
    redis.on('error', () => {}); // It says so itself, too.
    onTestFinished(() => redis.disconnect());
    await expect(redis.ping()).rejects.toThrow('NOAUTH');
  });

  it('does not answer while frozen and keeps its connections', async () => {
    const server = await start('own');
    onTestFinished(() => server.stop());
    const redis = new Redis({ host: server.host, port: server.port, password: server.password.reveal() });
    onTestFinished(() => redis.disconnect());
    await redis.ping();
    await server.freeze();
    const answer = redis.ping();
    const first = await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 300, 'silence'))]);
    await server.thaw();
    expect([first, await answer]).toEqual(['silence', 'PONG']);
  });

  it('is not to be harmed while others share it', async () => {
    const server = await start();
    await expect(server.kill()).rejects.toThrow('other tests share it');
  });
});

describe.each(postgresServers())('%s', (_, start) => {
  const server = useServer(start);

  it('gives an administrator who may make roles and databases and is no superuser', async () => {
    const login = await createAdministrator(server(), 'admin_of_servers_test');
    const rights = await asSuperuser(server(), (client) =>
      client.query('select rolsuper, rolcreaterole, rolcreatedb, rolcanlogin from pg_roles where rolname = $1', [
        login.username,
      ]),
    );
    expect(rights.rows).toEqual([{ rolsuper: false, rolcreaterole: true, rolcreatedb: true, rolcanlogin: true }]);
  });

  it('is shared, with a database for whoever asks', async () => {
    const database = await freshDatabase(server());
    const again = await start();
    const found = await asSuperuser(again, (client) =>
      client.query('select 1 from pg_database where datname = $1', [database]),
    );
    expect(found.rowCount).toBe(1);
  });

  it('answers again at the same port after a kill -9 under load', async () => {
    const own = await start('own');
    onTestFinished(() => own.stop());
    await asSuperuser(own, (client) => client.query('create table kept as select 1 as one'));
    const sleeping = asSuperuser(own, (client) => client.query('select pg_sleep(60)'));
    const cut = expect(sleeping).rejects.toThrow(/terminated|ECONNRESET/);
    await untilBusy(own);
    await own.kill();
    await cut;
    await own.startAgain();
    expect((await asSuperuser(own, (client) => client.query('select one from kept'))).rows).toEqual([{ one: 1 }]);
  });
});

describe.each(await pgbouncerBinaries())('PgBouncer $version', ({ version, run, reason }) => {
  it('runs as the service user under its own name', async ({ skip }) => {
    if (run === null) return skip(reason ?? '');
    const account = testAccount();
    const directory = await testDirectory();
    const port = await freePort(['127.0.0.1']);
    const ini = join(directory, 'pgbouncer.ini');
    await writeFile(
      ini,
      `[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${port}\nunix_socket_dir = ${directory}\n`,
    );
    const child = spawn(run, ['-q', ini], { cwd: '/', stdio: 'ignore', ...spawnIds(account) });
    const ended = once(child, 'exit');
    onTestFinished(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    await untilAccepted(port);
    const { stdout } = await promisify(execFile)(run, ['-V']);
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
    expect(stdout).toContain(`PgBouncer ${version}`);
    expect(status).toMatch(new RegExp(`^Name:\\spgbouncer\\n[^]*^Uid:\\s${account.uid}\\s`, 'm'));
    expect(await readlink(`/proc/${child.pid}/exe`)).toBe(run);
  });
});

const untilAccepted = async (port: number): Promise<void> => {
  await expect
    .poll(
      () =>
        new Promise((resolve) => {
          const socket = createConnection({ host: '127.0.0.1', port });
          socket.once('connect', () => resolve(socket.destroy() !== undefined));
          socket.once('error', () => resolve(false));
        }),
      { timeout: 5_000 },
    )
    .toBe(true);
};

const untilBusy = async (server: Parameters<typeof asSuperuser>[0]): Promise<void> => {
  const question = "select 1 from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'";
  await expect
    .poll(async () => (await asSuperuser(server, (client) => client.query(question))).rowCount, { timeout: 5_000 })
    .toBe(1);
};

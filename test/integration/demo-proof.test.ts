import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, type ClientConfig } from 'pg';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ClientConnection, Credentials } from '../../src/actors/model/status.ts';
import { findBinary } from '../../src/infra/local/binaries.ts';
import { freePort } from '../../src/infra/local/free-port.ts';
import { randomPassword, writeOwned } from '../../src/infra/local/owned-file.ts';
import { asSuperuser, type PostgresAddress } from '../../src/infra/local/postgres.ts';
import { proveUnits, type UnderProof } from '../../src/infra/local/proof.ts';
import { createOwnedDirectory, spawnIds } from '../../src/infra/local/service-user.ts';
import { freshDatabase, postgresServers, testAccount, testDirectory, useServer } from '../support/servers.ts';

const host = '127.0.0.31';
const signal = AbortSignal.timeout(60_000);

describe.each(postgresServers().slice(0, 1))('a proof of instances in front of %s', (_, start) => {
  const server = useServer(start);

  it('meets every instance that shares an address, and says who it is there', async () => {
    const { unit, credentials } = await poolers(server(), 3);
    const [proof] = await proveUnits([unit], credentials, { signal });
    expect(proof?.instances).toEqual(
      unit.instances.map(({ id, pid }) => ({
        id,
        pid,
        currentUser: `${credentials.username}_owner`,
        sessionUser: credentials.username,
        database: credentials.database,
        backendPid: expect.any(Number),
        ok: true,
      })),
    );
  });

  it('names an instance that is killed while others are still being met', async () => {
    const { unit, credentials, kill } = await poolers(server(), 2);
    const met = Promise.withResolvers<void>();
    const first: UnderProof = {
      ...unit,
      connections: async (asked) => {
        const connections = await unit.connections(asked);
        if (new Set(connections.map(({ instance }) => instance)).size === 2) met.resolve();
        return connections;
      },
    };
    const late: UnderProof = {
      ...unit,
      connections: async (asked) => {
        await met.promise;
        await untilAsked(server(), credentials.database, 2);
        await kill(2);
        return unit.connections(asked);
      },
    };
    const [proof] = await proveUnits([first, late], credentials, { signal, patienceMs: 2_000 });
    expect(proof?.instances).toMatchObject([
      { id: 1, ok: true },
      { id: 2, ok: false, error: expect.stringMatching(/^it did not answer|^its connection did not last/) },
    ]);
  });

  it('names an instance that nobody meets, and one that is another process by now', async () => {
    const { unit, credentials } = await poolers(server(), 1);
    const instances = [...unit.instances.map(({ id }) => ({ id, pid: 1 })), { id: 2, pid: null }];
    const [proof] = await proveUnits([{ ...unit, instances }], credentials, { signal, patienceMs: 1_000 });
    const pid = unit.instances[0]?.pid;
    expect(proof?.instances).toMatchObject([
      { id: 1, ok: false, error: `it was replaced while the proof ran: process 1 became ${pid}` },
      { id: 2, ok: false, error: 'no connection came to it', backendPid: null },
    ]);
  });

  it('gives the reason when nobody gets in', async () => {
    const { unit, credentials } = await poolers(server(), 1);
    const stranger = { ...credentials, password: 'guessed' };
    const [proof] = await proveUnits([unit], stranger, { signal, patienceMs: 500 });
    expect(proof?.instances).toMatchObject([{ id: 1, ok: false, error: expect.stringMatching(/password|SASL/) }]);
  });
});

/** Until so many server connections have answered the question of the proof. */
const untilAsked = async (server: PostgresAddress, database: string, times: number): Promise<void> => {
  const asked = `select 1 from pg_stat_activity where datname = $1 and state = 'idle' and query like 'select current_user as%'`;
  await expect
    .poll(async () => (await asSuperuser(server, (client) => client.query(asked, [database]))).rowCount)
    .toBe(times);
};

/** PgBouncers that share an address, in front of a database with a login that becomes its owner. */
const poolers = async (server: PostgresAddress, count: number) => {
  const credentials = await loginAt(server);
  const directory = await testDirectory();
  const port = await freePort([host]);
  const auth = join(directory, 'users');
  await writeOwned(auth, `"${credentials.username}" "${credentials.password}"\n`, testAccount());
  const children = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const sockets = join(directory, String(index + 1));
      await createOwnedDirectory(sockets, testAccount());
      await writeFile(
        join(sockets, 'pgbouncer.ini'),
        iniOf(server, { database: credentials.database, auth, sockets, port }),
      );
      return pooler(join(sockets, 'pgbouncer.ini'));
    }),
  );
  const consoleOf = (id: number) => ({
    host: join(directory, String(id)),
    port,
    user: credentials.username,
    password: credentials.password,
    database: 'pgbouncer',
  });
  const unit: UnderProof = {
    unit: 'pgbouncer/0',
    host,
    port,
    instances: children.map((child, index) => ({ id: index + 1, pid: child.pid ?? null })),
    connections: async () =>
      (await Promise.all(children.map((child, index) => clientsOf(child, index + 1, consoleOf(index + 1))))).flat(),
  };
  for (const [index, child] of children.entries()) await untilAnswers(child, consoleOf(index + 1));
  const kill = async (id: number): Promise<void> => {
    const child = children[id - 1];
    if (child === undefined || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  return { unit, credentials, kill };
};

const loginAt = async (server: PostgresAddress): Promise<Credentials> => {
  const database = await freshDatabase(server);
  const [username, password] = [`${database}_login`, randomPassword().reveal()];
  await asSuperuser(server, async (client) => {
    await client.query(`create role ${username}_owner`);
    await client.query(`create role ${username} login password '${password}' in role ${username}_owner`);
    await client.query(`alter role ${username} set role ${username}_owner`);
  });
  return {
    client: 'first',
    database,
    username,
    password,
    endpoints: [],
    readOnlyEndpoints: [],
    readOnlyDatabase: null,
    tlsAuthorities: null,
  };
};

interface Place {
  readonly database: string;
  readonly auth: string;
  readonly sockets: string;
  readonly port: number;
}

const iniOf = (server: PostgresAddress, { database, auth, sockets, port }: Place): string => `[databases]
${database} = host=${server.host} port=${server.port}
[pgbouncer]
listen_addr = ${host}
listen_port = ${port}
so_reuseport = 1
unix_socket_dir = ${sockets}
auth_type = scram-sha-256
auth_file = ${auth}
stats_users = ${database}_login
`;

const pooler = async (ini: string): Promise<ChildProcess> => {
  const program = findBinary('pgbouncer', '');
  const child = spawn(program, ['-q', ini], { cwd: '/', stdio: 'ignore', ...spawnIds(testAccount()) });
  const ended = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  await once(child, 'spawn');
  return child;
};

const clientsOf = async (
  child: ChildProcess,
  instance: number,
  console: ClientConfig,
): Promise<readonly ClientConnection[]> => {
  if (child.signalCode !== null) return [];
  const client = new Client(console);
  client.on('error', () => {}); // It may be killed meanwhile.
  try {
    await client.connect();
    const { rows } = await client.query<Record<string, string>>('show clients');
    return rows.map(({ user = '', database = '', addr = '', port, state = '' }) => ({
      instance,
      pid: child.pid ?? null,
      user,
      database,
      address: addr,
      port: Number(port),
      state,
    }));
  } finally {
    await client.end();
  }
};

const untilAnswers = async (child: ChildProcess, console: ClientConfig): Promise<void> => {
  await expect
    .poll(
      () =>
        clientsOf(child, 1, console).then(
          () => true,
          () => false,
        ),
      { timeout: 5_000 },
    )
    .toBe(true);
};

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { inspect as show } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { BackendAccess, BackendFacts } from '../../src/actors/model/backend.ts';
import { PostgresUnavailable } from '../../src/actors/ports/postgres.ts';
import { freePort } from '../../src/infra/local/free-port.ts';
import { postgresServers, type RunningPostgres, useServer } from '../support/servers.ts';
import { openProxy } from './postgres-proxy.ts';
import { leader, openScenario, rowsOf, type Scenario, withPassword } from './postgres-scenario.ts';

describe.each(postgresServers())('a look at a backend on %s', (_, start) => {
  const server = useServer(start);
  let scenario: Scenario;
  beforeEach(async () => {
    scenario = await openScenario(server());
  });
  afterEach(() => scenario[Symbol.asyncDispose]());

  const look = (changes: Partial<BackendAccess> = {}, signal = new AbortController().signal): Promise<BackendFacts> =>
    scenario.postgres.inspect({ ...scenario.access, ...changes }, signal);
  const lookers = () =>
    rowsOf(scenario, 'SELECT pid FROM pg_stat_activity WHERE application_name = $1', [
      `troupe-look/${scenario.application}`,
    ]);
  const closedPort = async (): Promise<string> => `127.0.0.1:${await freePort(['127.0.0.1'])}`;

  it('finds the primary and its facts', async () => {
    const [truth] = await rowsOf(
      scenario,
      `SELECT current_setting('server_version_num')::int AS version, system_identifier::text AS "systemId",
              current_setting('max_connections')::int AS "maxConnections",
              current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                AS "clientConnections" FROM pg_control_system()`,
    );
    expect(await look()).toEqual({
      kind: 'ready',
      primary: scenario.primary,
      standbys: [],
      silent: [],
      timeline: 1,
      ailments: [],
      ...truth,
    });
  });

  it('knows two ways to one server for one', async () => {
    const endpoints = [`127.0.0.1:${server().port}`, `localhost:${server().port}`];
    expect(await look({ endpoints })).toMatchObject({ kind: 'ready', primary: scenario.primary, standbys: [] });
  });

  it('finds the primary although another endpoint does not answer', async () => {
    const endpoints = [await closedPort(), ...scenario.access.endpoints];
    expect(await look({ endpoints })).toMatchObject({ kind: 'ready', primary: scenario.primary });
  });

  it('is away when nothing answers, and says what was tried', async () => {
    const endpoint = await closedPort();
    expect(await look({ endpoints: [endpoint] })).toEqual({
      kind: 'away',
      reason: expect.stringContaining(`${endpoint}: connect ECONNREFUSED`),
    });
    expect(await look({ endpoints: ['no-such-host.invalid:5432'] })).toMatchObject({ kind: 'away' });
  });

  it('is away when something else answers, or nothing but the connection', async () => {
    using mute = await listener(() => {});
    using chatty = await listener((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    expect(await look({ endpoints: [mute.endpoint, chatty.endpoint] })).toEqual({
      kind: 'away',
      reason: `no primary within reach: ${mute.endpoint}: no answer in time; ${chatty.endpoint}: it does not answer as PostgreSQL does`,
    });
  });

  it('is away within 2 s when its host swallows what is sent to it', async () => {
    using pit = await swallower();
    const began = performance.now();
    expect(await look({ endpoints: [pit.endpoint] })).toEqual({
      kind: 'away',
      reason: `no primary within reach: ${pit.endpoint}: no answer in time`,
    });
    expect(performance.now() - began).toBeLessThan(2_000);
  });

  it('tells beside the primary who did not answer', async () => {
    const port = await freePort(['127.0.0.1']);
    const endpoints = [`127.0.0.1:${port}`, ...scenario.access.endpoints];
    expect(await look({ endpoints })).toMatchObject({ kind: 'ready', silent: [{ host: '127.0.0.1', port }] });
  });

  it('is blocked by a wrong password, in the words of PostgreSQL and without the password', async () => {
    const facts = await scenario.postgres.inspect(
      withPassword(scenario.access, 'marker-of-a-password'),
      new AbortController().signal,
    );
    expect(facts).toMatchObject({
      kind: 'blocked',
      reason: expect.stringContaining(`password authentication failed for user "${scenario.access.username}" (28P01)`),
    });
    expect(show(facts, { depth: 9 })).not.toContain('marker');
  });

  it('asks a new password to prove itself although a connection is open', async () => {
    expect(await look()).toMatchObject({ kind: 'ready' });
    const wrong = withPassword(scenario.access, 'wrong');
    expect(await look({ password: wrong.password })).toMatchObject({ kind: 'blocked' });
  });

  it('is blocked by a maintenance database that is not there', async () => {
    expect(await look({ maintenanceDatabase: 'nowhere' })).toMatchObject({
      kind: 'blocked',
      reason: expect.stringContaining('database "nowhere" does not exist'),
    });
  });

  it('is blocked by an endpoint that is none', async () => {
    expect(await look({ endpoints: ['a b'] })).toMatchObject({
      kind: 'blocked',
      reason: expect.stringContaining('a b'),
    });
  });

  it.each(['CREATEROLE', 'CREATEDB', 'CREATEROLE CREATEDB'])(
    'is blocked without %s, and not after the statement it names',
    async (right) => {
      const { username } = scenario.access;
      const without = right.split(' ').map((word) => `NO${word}`);
      await rowsOf(scenario, `ALTER ROLE "${username}" ${without.join(' ')}`);
      const facts = await look();
      const statement = `ALTER ROLE "${username}" ${right}`;
      expect(facts).toMatchObject({
        kind: 'blocked',
        reason: expect.stringContaining(`as a superuser run ${statement}`),
      });
      await rowsOf(scenario, statement);
      expect(await look()).toMatchObject({ kind: 'ready' });
    },
  );

  it('is blocked before PostgreSQL 16 for a login without INHERIT', async () => {
    await rowsOf(scenario, `ALTER ROLE "${scenario.access.username}" NOINHERIT`);
    const facts = await look();
    const [version] = await rowsOf(scenario, `SELECT current_setting('server_version_num')::int < 160000 AS old`);
    expect(facts.kind).toBe(version?.['old'] === true ? 'blocked' : 'ready');
    if (facts.kind === 'ready') await scenario.client();
  });

  it('keeps one connection for the next look and closes it at the end', async () => {
    await look();
    const [kept] = await lookers();
    for (let again = 0; again < 5; again += 1) await look();
    expect(await lookers()).toEqual([kept]);
    await scenario.postgres[Symbol.asyncDispose]();
    await expect.poll(lookers).toEqual([]);
  });

  it('is right although the kept connection was ended meanwhile', async () => {
    await look();
    await rowsOf(scenario, 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [
      `troupe-look/${scenario.application}`,
    ]);
    expect(await look()).toMatchObject({ kind: 'ready' });
  });

  it('is right although the kept connection leads nowhere any more', async () => {
    await using proxy = await openProxy(server());
    const endpoints = [`127.0.0.1:${proxy.port}`];
    await look({ endpoints });
    const held = proxy.hold('pg_is_in_recovery');
    expect(await look({ endpoints })).toMatchObject({ kind: 'ready' });
    held.release();
  });

  it('is blocked by a maintenance database that CREATE DATABASE copies', async () => {
    expect(await look({ maintenanceDatabase: 'template1' })).toMatchObject({
      kind: 'blocked',
      reason: expect.stringContaining('name another one'),
    });
    expect(await lookers()).toEqual([]);
  });

  it('lives beside another one at the same time', async () => {
    const facts = await Promise.all([look(), look(), look()]);
    expect(facts.map(({ kind }) => kind)).toEqual(['ready', 'ready', 'ready']);
    await expect.poll(async () => (await lookers()).length).toBe(1);
  });

  it('that is called off is a value too', async () => {
    const calling = new AbortController();
    using mute = await listener(() => calling.abort());
    expect(await look({ endpoints: [mute.endpoint] }, calling.signal)).toMatchObject({
      kind: 'away',
      reason: expect.stringContaining('called off'),
    });
    expect(await look({}, AbortSignal.abort())).toMatchObject({ kind: 'away' });
    expect(await look()).toMatchObject({ kind: 'ready' });
  });

  it('that cannot be taken is no answer for those who act', async () => {
    const primary = { host: '127.0.0.1', port: await freePort(['127.0.0.1']) };
    const { signal } = new AbortController();
    await expect(scenario.take({ type: 'raiseFence' }, { primary })).rejects.toBeInstanceOf(PostgresUnavailable);
    const audit = scenario.postgres.audit(scenario.access, primary, leader(1), [], signal);
    await expect(audit).rejects.toBeInstanceOf(PostgresUnavailable);
  });
});

/** A server that no other test sees, because these change it as a whole. */
describe.each(postgresServers())('a backend on %s', (_, start) => {
  let server: RunningPostgres;
  let scenario: Scenario;
  beforeAll(async () => {
    server = await start('own');
    scenario = await openScenario(server);
  });
  afterAll(async () => {
    await scenario[Symbol.asyncDispose]();
    await server.stop();
  });
  const look = () => scenario.postgres.inspect(scenario.access, new AbortController().signal);

  it('is away while it is frozen or dead, within seconds, and ready again afterwards', async () => {
    expect(await look()).toMatchObject({ kind: 'ready' });
    await server.freeze();
    const began = performance.now();
    expect(await look()).toMatchObject({ kind: 'away', reason: expect.stringContaining('no answer in time') });
    await expect(scenario.take({ type: 'raiseFence' })).rejects.toBeInstanceOf(PostgresUnavailable);
    expect(performance.now() - began).toBeLessThan(10_000);
    await server.thaw();
    expect(await look()).toMatchObject({ kind: 'ready' });
    await server.kill();
    expect(await look()).toMatchObject({ kind: 'away' });
    await server.startAgain();
    expect(await look()).toMatchObject({ kind: 'ready' });
  });

  it('is ready without the right to read the system identifier', async () => {
    await rowsOf(scenario, 'REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC');
    await using fresh = await openScenario(server);
    const facts = await fresh.postgres.inspect(fresh.access, new AbortController().signal);
    expect(facts).toMatchObject({ kind: 'ready', systemId: 'unknown' });
  });

  it('says how its schema public is opened where the template keeps it closed', async () => {
    await rowsOf(scenario, 'ALTER SCHEMA public OWNER TO CURRENT_USER', [], 'template1');
    await rowsOf(scenario, 'REVOKE ALL ON SCHEMA public FROM PUBLIC, pg_database_owner', [], 'template1');
    const grant = 'GRANT USAGE, CREATE ON SCHEMA public TO "troupe_owner_orders"';
    const step = { type: 'ensureDatabase', database: 'orders' } as const;
    expect(await scenario.take(step)).toMatchObject({ kind: 'refused', reason: expect.stringContaining(grant) });
    await rowsOf(scenario, grant, [], 'orders');
    expect(await scenario.take(step)).toEqual({ kind: 'done' });
  });
});

/** Something that takes connections and is no PostgreSQL. */
const listener = async (
  answer: (socket: { end(text: string): unknown }) => void,
): Promise<Disposable & { readonly endpoint: string }> => {
  const server: Server = createServer((socket) => {
    socket.on('error', () => {}); // Whoever looks may cut it.
    socket.once('data', () => answer(socket));
  });
  const port = await freePort(['127.0.0.1']);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return { endpoint: `127.0.0.1:${port}`, [Symbol.dispose]: () => void server.close() };
};

/** Its queue of connections is full, and it takes none: further ones hear nothing at all, as behind a firewall that drops. */
const swallower = async (): Promise<Disposable & { readonly endpoint: string }> => {
  const sleeper = fork(fileURLToPath(new URL('../support/sleeping-listener-process.ts', import.meta.url)), {
    stdio: 'ignore',
  });
  const [said] = await once(sleeper, 'message');
  const port = Number(said);
  const waiting: Socket[] = [];
  for (let isFull = false; !isFull; ) {
    const socket = connect(port, '127.0.0.1').on('error', () => {}); // Cut at the end.
    waiting.push(socket);
    isFull = await Promise.race([once(socket, 'connect').then(() => false), delay(500, true)]);
  }
  return {
    endpoint: `127.0.0.1:${port}`,
    [Symbol.dispose]: () => {
      for (const socket of waiting) socket.destroy();
      sleeper.kill('SIGKILL');
    },
  };
};

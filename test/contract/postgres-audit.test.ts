import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Audit } from '../../src/actors/model/backend.ts';
import { createCredentials } from '../../src/infra/credentials/credentials.ts';
import { postgresServers, type RunningPostgres, useServer } from '../support/servers.ts';
import { openProxy, type PostgresProxy } from './postgres-proxy.ts';
import { asLogin, leader, must, openScenario, rowsOf, type Scenario, type TestClient } from './postgres-scenario.ts';

const places = postgresServers().flatMap(([name, start]) =>
  (['ordinary', 'superuser'] as const).map((rights) => [name, rights, start] as const),
);

/** Somebody changes what a client was given; the audit finds it, and what can be mended is as it was after the step it names. */
describe.each(places)('an audit on %s with %s rights', (_, rights, start) => {
  const server = useServer(start);
  let scenario: Scenario;
  let client: TestClient;
  beforeAll(async () => {
    scenario = await openScenario(server(), rights);
    client = await scenario.client();
  });
  afterAll(() => scenario[Symbol.asyncDispose]());

  const findings = async (): Promise<Extract<Audit, { kind: 'audited' }>['findings']> => {
    const audit = await scenario.audit([client]);
    if (audit.kind !== 'audited') throw new Error(`the audit is ${audit.kind}`);
    return audit.findings;
  };
  const names = () => ({
    database: `"${client.database}"`,
    login: `"${client.account.username}"`,
    owner: `"troupe_owner_${client.database}"`,
  });
  const mend = async (step: string): Promise<void> =>
    must(
      await scenario.take(step === 'ensureLogin' ? client.step : { type: 'mendDatabase', database: client.database }),
    );
  const works = () => asLogin(scenario, client.account, client.database, 'CREATE TABLE IF NOT EXISTS t (id int)');

  it('finds nothing where all is as it was left, and leaves no session among those of clients', async () => {
    expect(await findings()).toEqual([]);
    expect(await findings()).toEqual([]);
    // PostgreSQL's own workers come and go in any database: autovacuum is one of them.
    const sql = "SELECT usename FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'";
    expect(await rowsOf(scenario, sql, [client.database])).toEqual([]);
  });

  const changes: readonly (readonly [what: string, step: string, sql: (n: ReturnType<typeof names>) => string])[] = [
    ['its login was dropped', 'ensureLogin', ({ login }) => `DROP ROLE ${login}`],
    ['its password is another one', 'ensureLogin', ({ login }) => `ALTER ROLE ${login} PASSWORD 'another'`],
    ['its login cannot log in', 'ensureLogin', ({ login }) => `ALTER ROLE ${login} NOLOGIN`],
    ['its login expired', 'ensureLogin', ({ login }) => `ALTER ROLE ${login} VALID UNTIL '2020-01-01'`],
    ['its login may have one connection', 'ensureLogin', ({ login }) => `ALTER ROLE ${login} CONNECTION LIMIT 1`],
    ['its login got a right', 'ensureLogin', ({ login }) => `ALTER ROLE ${login} CREATEDB`],
    ['its login lost its owner role', 'ensureLogin', ({ login, owner }) => `REVOKE ${owner} FROM ${login}`],
    [
      'its login acts as itself',
      'ensureLogin',
      ({ login, database }) => `ALTER ROLE ${login} IN DATABASE ${database} RESET role`,
    ],
    ['its login lost its comment', 'ensureLogin', ({ login }) => `COMMENT ON ROLE ${login} IS NULL`],
    ['its owner role lost its comment', 'mendDatabase', ({ owner }) => `COMMENT ON ROLE ${owner} IS NULL`],
    ['its database lost its comment', 'mendDatabase', ({ database }) => `COMMENT ON DATABASE ${database} IS NULL`],
    ['its owner role can log in', 'mendDatabase', ({ owner }) => `ALTER ROLE ${owner} LOGIN`],
    ['everybody may connect', 'mendDatabase', ({ database }) => `GRANT CONNECT ON DATABASE ${database} TO PUBLIC`],
    [
      'its owner role may not connect',
      'mendDatabase',
      ({ database, owner }) => `REVOKE CONNECT ON DATABASE ${database} FROM ${owner}`,
    ],
  ];
  it.each(changes)('finds and mends that %s', async (what, step, sql) => {
    const before = await picture();
    // What the administrator granted, only they can take away since PostgreSQL 16.
    await asLogin(
      scenario,
      what.includes('owner role') ? scenario.access : scenario.server.superuser,
      'postgres',
      sql(names()),
    );
    expect(await findings()).toEqual([{ kind: 'mendable', relation: client.relation, step }]);
    await mend(step);
    expect(await findings()).toEqual([]);
    expect(await picture()).toEqual(before);
    await works();
  });
  const picture = () =>
    rowsOf(
      scenario,
      `SELECT rolname, rolcanlogin, rolcreatedb, rolpassword, shobj_description(oid, 'pg_authid') AS comment
         FROM pg_authid WHERE position($1 in rolname) > 0 ORDER BY 1`,
      [scenario.mark],
    );

  it('finds the same password with another salt, which PgBouncer could not log in with', async () => {
    const { username, password } = client.account;
    await rowsOf(scenario, `ALTER ROLE "${username}" PASSWORD '${password.reveal()}'`);
    await works();
    expect(await findings()).toEqual([{ kind: 'mendable', relation: client.relation, step: 'ensureLogin' }]);
  });

  it('names a database that was dropped, and nothing makes an empty one in its place', async () => {
    const { database } = names();
    await rowsOf(scenario, `DROP DATABASE ${database}`);
    const [finding] = await findings();
    expect(finding).toMatchObject({ kind: 'lost', reason: expect.stringContaining(`database ${database} is gone`) });
    const mending = await scenario.take({ type: 'mendDatabase', database: client.database });
    expect(mending).toMatchObject({ kind: 'refused', reason: expect.stringContaining('is not there') });
    expect(await rowsOf(scenario, 'SELECT FROM pg_database WHERE datname = $1', [client.database])).toEqual([]);
    await rowsOf(scenario, `CREATE DATABASE ${database} OWNER ${names().owner}`);
    expect(await findings()).toMatchObject([{ kind: 'mendable', step: 'mendDatabase' }]);
    await mend('mendDatabase');
    expect(await findings()).toMatchObject([{ kind: 'mendable', step: 'ensureLogin' }]);
    await mend('ensureLogin');
    expect(await findings()).toEqual([]);
    await works();
  });

  const hurts: readonly (readonly [
    what: string,
    words: string,
    sql: (n: ReturnType<typeof names>) => string,
    undo: (n: ReturnType<typeof names>) => string,
  ])[] = [
    [
      'closed',
      'takes no connections',
      ({ database }) => `ALTER DATABASE ${database} ALLOW_CONNECTIONS false`,
      ({ database }) => `ALTER DATABASE ${database} ALLOW_CONNECTIONS true`,
    ],
    [
      'set read-only',
      'is set read-only',
      ({ database }) => `ALTER DATABASE ${database} SET default_transaction_read_only = on`,
      ({ database }) => `ALTER DATABASE ${database} RESET default_transaction_read_only`,
    ],
    [
      'given to another owner',
      'belongs to "postgres"',
      ({ database }) => `ALTER DATABASE ${database} OWNER TO postgres`,
      ({ database, owner }) => `ALTER DATABASE ${database} OWNER TO ${owner}`,
    ],
  ];
  it.each(hurts)('tells of a database that was %s, and leaves it so', async (_what, words, sql, undo) => {
    await rowsOf(scenario, sql(names()));
    expect(await findings()).toMatchObject([{ kind: 'hindered', reason: expect.stringContaining(words) }]);
    await rowsOf(scenario, undo(names()));
    expect(await findings()).toEqual([]);
  });

  it('tells of a login with the words of somebody else, and does not touch it', async () => {
    const { login } = names();
    await rowsOf(scenario, `COMMENT ON ROLE ${login} IS 'mine now'`);
    const [finding] = await findings();
    const statement = `COMMENT ON ROLE ${login} IS 'troupe:${scenario.application}:${client.relation}'`;
    expect(finding).toMatchObject({ kind: 'hindered', reason: expect.stringContaining(statement) });
    expect(await scenario.take(client.step)).toMatchObject({ kind: 'refused' });
    await rowsOf(scenario, statement);
    expect(await findings()).toEqual([]);
  });

  it('says that the fence is gone, or a newer one stands, and finds again once it is raised', async () => {
    const fence = `troupe_${scenario.application}`;
    await rowsOf(scenario, 'DELETE FROM troupe.fence', [], fence);
    expect(await scenario.audit([client])).toEqual({ kind: 'unfenced' });
    await rowsOf(scenario, 'DROP TABLE troupe.fence', [], fence);
    expect(await scenario.audit([client])).toEqual({ kind: 'unfenced' });
    await rowsOf(scenario, `DROP DATABASE "${fence}" WITH (FORCE)`);
    expect(await scenario.audit([client])).toEqual({ kind: 'unfenced' });
    must(await scenario.take({ type: 'raiseFence' }));
    expect(await findings()).toEqual([]);
    await rowsOf(scenario, 'UPDATE troupe.fence SET epoch = 99', [], fence);
    expect(await scenario.audit([client])).toEqual({ kind: 'fenced' });
    expect(await scenario.audit([client], { leadership: leader(2) })).toEqual({ kind: 'fenced' });
    await rowsOf(scenario, 'UPDATE troupe.fence SET epoch = 1', [], fence);
  });

  it('comes around to every login of many', async () => {
    const account = await createCredentials().mint(scenario.name('late'));
    const others = await Promise.all(
      [2, 3, 4].map((relation) => scenario.client({ relation, username: scenario.name(`l${relation}`) })),
    );
    await rowsOf(scenario, `ALTER ROLE "${others[2]?.account.username}" PASSWORD '${account.password.reveal()}'`);
    const found = new Set<number>();
    for (let round = 0; round < 3; round += 1) {
      const audit = await scenario.audit([client, ...others]);
      if (audit.kind === 'audited') for (const { relation } of audit.findings) found.add(relation);
    }
    expect([...found]).toEqual([4]);
  });
});

/** On a server of its own, because it is about one where nothing is written. */
describe.each(postgresServers())('audits by an ordinary login on %s', (_, start) => {
  let server: RunningPostgres;
  let scenario: Scenario;
  let proxy: PostgresProxy;
  let clients: readonly TestClient[];
  beforeAll(async () => {
    server = await start('own');
    scenario = await openScenario(server);
    const first = await scenario.client();
    clients = [first];
    for (let relation = 2; relation <= 10; relation += 1) clients = [...clients, await scenario.client({ relation })];
    proxy = await openProxy(server);
  });
  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    await scenario[Symbol.asyncDispose]();
    await server.stop();
  });
  const found = async (): Promise<readonly number[]> => {
    const audit = await scenario.audit(clients, { primary: { host: '127.0.0.1', port: proxy.port } });
    if (audit.kind !== 'audited') throw new Error(`the audit is ${audit.kind}`);
    return audit.findings.map(({ relation }) => relation);
  };
  const changes = () => rowsOf(scenario, `SELECT pg_stat_get_tuples_updated('pg_authid'::regclass) AS changes`);

  it('let nobody log in again while nothing is written', async () => {
    await expect.poll(async () => connectionsOf(found), { timeout: 5_000, interval: 100 }).toBe(0);
    expect(await connectionsOf(found)).toBe(0);
  });
  const connectionsOf = async (work: () => Promise<unknown>): Promise<number> => {
    const before = proxy.taken;
    await work();
    return proxy.taken - before;
  };

  it('find at once every password that was changed of ten', async () => {
    expect(await found()).toEqual([]);
    const before = await changes();
    for (const { account } of clients.slice(2, 9))
      await rowsOf(scenario, `ALTER ROLE "${account.username}" PASSWORD 'x'`);
    const moved = async () => Number((await changes())[0]?.['changes']) - Number(before[0]?.['changes']);
    await expect.poll(moved, { timeout: 2_000, interval: 50 }).toBe(7);
    const others = clients.slice(2, 9).map(({ relation }) => relation);
    expect(await found()).toEqual(others);
    expect(await found()).toEqual(others); // Until they are mended.
    for (const { step } of clients.slice(2, 9)) must(await scenario.take(step));
    await expect.poll(found, { timeout: 2_000, interval: 50 }).toEqual([]);
  });
});

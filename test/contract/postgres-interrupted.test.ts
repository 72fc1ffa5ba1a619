import { describe, expect, it } from 'vitest';
import type { PostgresStep } from '../../src/actors/model/backend.ts';
import { PostgresUnavailable } from '../../src/actors/ports/postgres.ts';
import { createCredentials } from '../../src/infra/credentials/credentials.ts';
import { servedByAncestor } from '../support/ancestors-postgres.ts';
import { postgresServers, useServer } from '../support/servers.ts';
import { openProxy, type PostgresProxy } from './postgres-proxy.ts';
import {
  asLogin,
  dropStep,
  leader,
  loginStep,
  must,
  openScenario,
  pictureOf,
  rowsOf,
  type Scenario,
  type TestClient,
} from './postgres-scenario.ts';

describe.each(postgresServers())('on %s', (_, start) => {
  const server = useServer(start);

  describe('a step whose connection breaks when PostgreSQL has just done one of its statements', () => {
    const steps: readonly (readonly [name: string, prepare: Prepare])[] = [
      ['ensureDatabase', async (scenario) => ({ type: 'ensureDatabase', database: scenario.name('orders') })],
      ['ensureLogin', (scenario) => loginIn(scenario, [])],
      ['ensureLogin with extra roles', (scenario) => loginIn(scenario, ['createdb'])],
      ['adoptDatabase', async (scenario) => ({ type: 'adoptDatabase', database: (await served(scenario)).database })],
      [
        'adoptLogin',
        async (scenario) => {
          const { database, username } = await served(scenario);
          must(await scenario.take({ type: 'adoptDatabase', database }));
          return { type: 'adoptLogin', relation: 1, database, ...fixedAccount, username, rights: [] };
        },
      ],
      ['dropLogin', async (scenario) => dropStep(await busyClient(scenario))],
    ];

    it.each(steps)(
      'is %s, and is done when it is repeated',
      async (name, prepare) => {
        await using scenario = await openScenario(server(), name.startsWith('adopt') ? 'superuser' : 'ordinary');
        must(await scenario.take({ type: 'raiseFence' }));
        await walkBroken(async () => scenario.sibling(), prepare);
      },
      180_000,
    );

    it('is raiseFence, and is done when it is repeated', () =>
      walkBroken(
        () => openScenario(server()),
        async () => ({ type: 'raiseFence' }),
      ));

    const walkBroken = async (open: () => Promise<Scenario>, prepare: Prepare): Promise<void> => {
      const undisturbed = await walk(await open(), prepare, null);
      const points = undisturbed.statements.flatMap((statement, index) => (changes(statement) ? [index + 1] : []));
      expect(points.length).toBeGreaterThan(2);
      for (const point of points) {
        const { picture } = await walk(await open(), prepare, point);
        expect(picture, `cut after ${undisturbed.statements[point - 1]}`).toEqual(undisturbed.picture);
      }
    };

    const walk = async (opened: Scenario, prepare: Prepare, cutAt: number | null) => {
      await using scenario = opened;
      await using proxy = await openProxy(server());
      const step = await prepare(scenario);
      if (cutAt !== null) {
        proxy.cut(cutAt);
        await expect(scenario.take(step, through(proxy))).rejects.toBeInstanceOf(PostgresUnavailable);
        must(await scenario.take(step));
      } else must(await scenario.take(step, through(proxy)));
      return { picture: await anonymous(scenario), statements: proxy.seen };
    };
  });

  describe('a leader that froze', () => {
    it('between its check of the fence and CREATE DATABASE makes none once another leads', async () => {
      await using scenario = await openScenario(server());
      await using proxy = await openProxy(server());
      must(await scenario.take({ type: 'raiseFence' }));
      const database = scenario.name('orders');
      const held = proxy.hold('CREATE DATABASE');
      const late = scenario.take({ type: 'ensureDatabase', database }, through(proxy));
      const lateEnd = expect(late).rejects.toBeInstanceOf(PostgresUnavailable);
      await held.arrived;
      must(await scenario.take({ type: 'raiseFence' }, { leadership: leader(2) }));
      held.release();
      await lateEnd;
      expect(await rowsOf(scenario, 'SELECT 1 FROM pg_database WHERE datname = $1', [database])).toEqual([]);
      const again = scenario.take({ type: 'ensureDatabase', database }, through(proxy));
      await expect(again).resolves.toEqual({ kind: 'fenced' });
    });

    it('in the middle of a transaction neither stops the next one nor finishes', async () => {
      await using scenario = await openScenario(server());
      await using proxy = await openProxy(server());
      const client = await scenario.client();
      const held = proxy.hold('COMMIT');
      const late = scenario.take({ ...client.step, extraUserRoles: ['createdb'] }, through(proxy));
      const lateEnd = expect(late).rejects.toBeInstanceOf(PostgresUnavailable);
      await held.arrived;
      must(await scenario.take({ type: 'raiseFence' }, { leadership: leader(2) }));
      must(await scenario.take(client.step, { leadership: leader(2) }));
      held.release();
      await lateEnd;
      const sql = 'SELECT rolcreatedb AS extra FROM pg_roles WHERE rolname = $1';
      expect(await rowsOf(scenario, sql, [client.account.username])).toEqual([{ extra: false }]);
    });
  });

  it('a step that is called off ends at once, and leaves nothing behind that a repetition would mind', async () => {
    await using scenario = await openScenario(server());
    await using proxy = await openProxy(server());
    must(await scenario.take({ type: 'raiseFence' }));
    const step = { type: 'ensureDatabase', database: scenario.name('orders') } as const;
    const held = proxy.hold('COMMIT');
    const calling = new AbortController();
    const late = scenario.take(step, { ...through(proxy), signal: calling.signal });
    const lateEnd = expect(late).rejects.toThrow('it was called off');
    await held.arrived;
    calling.abort();
    await lateEnd;
    must(await scenario.take(step));
  });
});

type Prepare = (scenario: Scenario) => Promise<PostgresStep>;

/** A break after a question, or before a statement was heard, leaves what the break before it leaves. */
const changes = (statement: string): boolean => !/^\s*(SELECT|BEGIN)\b/.test(statement);

const through = ({ port }: PostgresProxy) => ({ primary: { host: '127.0.0.1', port } });

const loginIn = async (scenario: Scenario, extraUserRoles: readonly string[]): Promise<PostgresStep> => {
  const database = scenario.name('orders');
  must(await scenario.take({ type: 'ensureDatabase', database }));
  const { username } = await createCredentials().mint(scenario.name('login'));
  return loginStep({ relation: 1, database, account: { ...fixedAccount, username }, extraUserRoles });
};

/** The same secret each time, so that pictures can be compared. */
const fixedAccount = await createCredentials().mint('anybody');

/** A client that the charm before us had made a database and a login for. */
const served = async (scenario: Scenario) => {
  const client = { database: scenario.name('orders'), username: scenario.name('login') };
  await servedByAncestor(scenario.server, { ...client, password: fixedAccount.verifier });
  await asLogin(scenario, { ...fixedAccount, ...client }, client.database, 'CREATE TABLE mine (id int)');
  return client;
};

/** A login that owns and was granted things in two databases. */
const busyClient = async (scenario: Scenario): Promise<TestClient> => {
  const client = await scenario.client({ extraUserRoles: ['createdb'] });
  const scratch = scenario.name('scratch');
  await asLogin(
    scenario,
    client.account,
    client.database,
    'CREATE TABLE mine (id int)',
    `CREATE DATABASE "${scratch}"`,
  );
  await asLogin(scenario, client.account, scratch, 'CREATE SCHEMA far', 'CREATE TABLE far.mine (id int)');
  return client;
};

/** What is there, without what is this scenario's own. */
const anonymous = async (scenario: Scenario): Promise<unknown> => {
  const { application, mark, access } = scenario;
  const own = await pictureOf(scenario, mark);
  const fence = await pictureOf(scenario, `troupe_${application}`);
  const tables = [];
  for (const { name } of own.filter(({ what }) => what === 'database'))
    tables.push(...(await rowsOf(scenario, tablesSql, [], String(name))));
  const picture = [...own, ...fence].filter(({ name }) => name !== access.username);
  const text = JSON.stringify({ picture, tables }).replaceAll(mark, 'mark').replaceAll(application, 'application');
  return JSON.parse(text.replaceAll(access.username, 'admin'));
};

const tablesSql = `SELECT relname, pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relname = 'mine'`;

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createCredentials } from '../../src/infra/credentials/credentials.ts';
import { postgresServers, useServer } from '../support/servers.ts';
import { openProxy } from './postgres-proxy.ts';
import {
  asLogin,
  connectAs,
  dropStep,
  leader,
  loginStep,
  must,
  openScenario,
  pictureOf,
  type Rights,
  rowsOf,
  type Scenario,
} from './postgres-scenario.ts';

const ordinary: Rights = 'ordinary';
const [first] = postgresServers();
const places = [
  ...postgresServers().map(([name, start]) => [name, ordinary, start] as const),
  ...(first === undefined ? [] : [[first[0], 'superuser', first[1]] as const]),
];

describe.each(places)('on %s with %s rights', (_, rights, start) => {
  const server = useServer(start);
  let scenario: Scenario;
  beforeEach(async () => {
    scenario = await openScenario(server(), rights);
  });
  afterEach(() => scenario[Symbol.asyncDispose]());

  const grantsOf = (username: string) =>
    rowsOf(scenario, 'SELECT 1 FROM pg_shdepend WHERE refclassid = $1::regclass AND refobjid = to_regrole($2)', [
      'pg_authid',
      username,
    ]);
  const hasRole = async (username: string): Promise<boolean> =>
    (await rowsOf(scenario, 'SELECT 1 FROM pg_roles WHERE rolname = $1', [username])).length === 1;

  describe('a client database', () => {
    it('lets one login alter and read what another one made', async () => {
      const first = await scenario.client();
      const second = await scenario.client();
      const { database } = first;
      await asLogin(scenario, first.account, database, 'CREATE SCHEMA shop', 'CREATE TABLE shop.item (id int)');
      await asLogin(
        scenario,
        second.account,
        database,
        'ALTER TABLE shop.item ADD COLUMN name text',
        "INSERT INTO shop.item VALUES (1, 'tea')",
        'CREATE TABLE more (id int)',
      );
      await asLogin(scenario, first.account, database, 'DROP TABLE more');
      expect(await asLogin(scenario, first.account, database, 'TABLE shop.item')).toEqual([{ id: 1, name: 'tea' }]);
    });

    it('is closed to the logins of other databases and to everybody else', async () => {
      const orders = await scenario.client();
      const reports = await scenario.client({ database: scenario.name('reports') });
      const closed = { code: '42501' };
      await expect(asLogin(scenario, reports.account, orders.database, 'SELECT 1')).rejects.toMatchObject(closed);
      await expect(asLogin(scenario, orders.account, reports.database, 'SELECT 1')).rejects.toMatchObject(closed);
      const publicRights = await rowsOf(
        scenario,
        `SELECT privilege_type FROM pg_database, aclexplode(datacl) WHERE datname = ANY ($1) AND grantee = 0`,
        [[orders.database, reports.database]],
      );
      expect(publicRights).toEqual([]);
    });

    it('belongs to a role that cannot log in, and both say whose they are', async () => {
      const { database } = await scenario.client();
      const [found] = await rowsOf(
        scenario,
        `SELECT rolname AS owner, rolcanlogin AS login, shobj_description(r.oid, 'pg_authid') AS role,
                shobj_description(d.oid, 'pg_database') AS database
           FROM pg_database d JOIN pg_roles r ON r.oid = datdba WHERE datname = $1`,
        [database],
      );
      const tag = `troupe:${scenario.application}:database:${database}`;
      expect(found).toEqual({ owner: `troupe_owner_${database}`, login: false, role: tag, database: tag });
    });

    it('stays untouched when somebody else made it', async () => {
      const database = scenario.name('theirs');
      await rowsOf(scenario, `CREATE DATABASE "${database}"`);
      const before = await pictureOf(scenario, scenario.mark);
      const outcome = await scenario.take({ type: 'ensureDatabase', database });
      expect(outcome).toMatchObject({
        kind: 'refused',
        reason: expect.stringContaining(`database "${database}" exists`),
      });
      const after = await pictureOf(scenario, scenario.mark);
      expect(after).toEqual(before);
    });

    it('stays untouched when another application made it', async () => {
      const { database } = await scenario.client();
      await using other = await openScenario(server(), rights);
      const outcome = await other.take({ type: 'ensureDatabase', database });
      expect(outcome).toMatchObject({ kind: 'refused', reason: expect.stringContaining('choose another name') });
    });

    it('is not made when its owner role is somebody else’s', async () => {
      const database = scenario.name('orders');
      await rowsOf(scenario, `CREATE ROLE "troupe_owner_${database}"`);
      const outcome = await scenario.take({ type: 'ensureDatabase', database });
      expect(outcome).toMatchObject({
        kind: 'refused',
        reason: expect.stringContaining(`role "troupe_owner_${database}"`),
      });
      expect(await rowsOf(scenario, 'SELECT 1 FROM pg_database WHERE datname = $1', [database])).toEqual([]);
    });

    it('keeps a comment that its client gave it', async () => {
      const { database, account } = await scenario.client();
      await asLogin(scenario, account, database, `COMMENT ON DATABASE "${database}" IS 'all orders'`);
      must(await scenario.take({ type: 'ensureDatabase', database }));
      const sql = `SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = $1`;
      expect(await rowsOf(scenario, sql, [database])).toEqual([{ comment: 'all orders' }]);
    });
  });

  describe('a login', () => {
    it('works with the password behind the verifier, which PostgreSQL keeps as it was given', async () => {
      const { account, database } = await scenario.client();
      expect(await asLogin(scenario, account, database, 'SELECT session_user::text, current_user::text')).toEqual([
        { session_user: account.username, current_user: `troupe_owner_${database}` },
      ]);
      const sql = 'SELECT rolpassword FROM pg_authid WHERE rolname = $1';
      expect(await rowsOf(scenario, sql, [account.username])).toEqual([{ rolpassword: account.verifier.reveal() }]);
    });

    it('leaves no statement running for whoever is gone', async () => {
      const { account, database } = await scenario.client();
      const session = await connectAs(scenario.server, account, database);
      const cut = session.client.query("SET application_name = 'orphan'; SELECT pg_sleep(600)").catch(() => 'cut');
      const orphans = () =>
        rowsOf(scenario, "SELECT query FROM pg_stat_activity WHERE datname = $1 AND application_name = 'orphan'", [
          database,
        ]);
      await expect.poll(orphans, { timeout: 30_000 }).toHaveLength(1);
      session.client.connection.stream.destroy();
      expect(await cut).toBe('cut');
      await expect.poll(orphans, { timeout: 30_000 }).toEqual([]);
    });

    it('keeps acting as the owner role after a session was reset', async () => {
      const { account, database } = await scenario.client();
      const rows = await asLogin(scenario, account, database, 'DISCARD ALL', 'SELECT current_user::text AS me');
      expect(rows).toEqual([{ me: `troupe_owner_${database}` }]);
    });

    it('is itself in any other database', async () => {
      const { account } = await scenario.client();
      const rows = await asLogin(scenario, account, 'postgres', 'SELECT current_user::text AS me');
      expect(rows).toEqual([{ me: account.username }]);
    });

    it('has no rights beyond its database', async () => {
      const { account } = await scenario.client();
      const sql = `SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = $1`;
      const [attributes = {}] = await rowsOf(scenario, sql, [account.username]);
      expect(Object.values(attributes)).toEqual([false, false, false, false, false]);
    });

    it('takes a new verifier, and the old password ends', async () => {
      const { account, database, step } = await scenario.client();
      const next = await createCredentials().mint(account.username);
      must(await scenario.take({ ...step, verifier: next.verifier }));
      await asLogin(scenario, next, database, 'SELECT 1');
      await expect(asLogin(scenario, account, database, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
    });

    it('stays untouched when somebody else made it', async () => {
      const database = scenario.name('orders');
      must(await scenario.take({ type: 'ensureDatabase', database }));
      const account = await createCredentials().mint(scenario.name('theirs'));
      await rowsOf(scenario, `CREATE ROLE "${account.username}" NOLOGIN`);
      const before = await pictureOf(scenario, scenario.mark);
      const outcome = await scenario.take(loginStep({ relation: 1, database, account }));
      expect(outcome).toMatchObject({
        kind: 'refused',
        reason: expect.stringContaining(`role "${account.username}" exists`),
      });
      must(await scenario.take(dropStep({ relation: 1, account })));
      expect(await pictureOf(scenario, scenario.mark)).toEqual(before);
    });

    it('of one relation is not given to another, and not dropped for another', async () => {
      const { account, database, relation } = await scenario.client();
      const outcome = await scenario.take(loginStep({ relation: relation + 1, database, account }));
      expect(outcome).toMatchObject({ kind: 'refused' });
      must(await scenario.take(dropStep({ relation: relation + 1, account })));
      await asLogin(scenario, account, database, 'SELECT 1');
    });

    it('waits for its database', async () => {
      const account = await createCredentials().mint(scenario.name('early'));
      const outcome = await scenario.take(loginStep({ relation: 1, database: scenario.name('later'), account }));
      expect(outcome).toMatchObject({ kind: 'refused', reason: expect.stringContaining('it comes first') });
      expect(await hasRole(account.username)).toBe(false);
    });

    it('is listed by its relation, and nothing else is', async () => {
      const first = await scenario.client({ relation: 3 });
      const second = await scenario.client({ relation: 12 });
      await rowsOf(scenario, `CREATE ROLE "${scenario.name('x')}"`);
      await rowsOf(scenario, `COMMENT ON ROLE "${scenario.name('x')}" IS 'troupe:${scenario.application}x:3'`);
      expect(await scenario.audit()).toEqual({
        kind: 'audited',
        findings: [],
        logins: [
          { relation: 3, username: first.account.username },
          { relation: 12, username: second.account.username },
        ],
      });
    });
  });

  describe('a login with extra roles', () => {
    it('makes databases and roles itself, and uses what the others made', async () => {
      const plain = await scenario.client();
      const extra = await scenario.client({ extraUserRoles: ['createdb', 'createrole'] });
      const { database } = extra;
      await asLogin(scenario, plain.account, database, 'CREATE TABLE theirs (id int)');
      await asLogin(
        scenario,
        extra.account,
        database,
        `CREATE DATABASE "${scenario.name('scratch')}"`,
        `CREATE ROLE "${scenario.name('reader')}"`,
        'ALTER TABLE theirs ADD COLUMN name text',
        'CREATE TABLE mine (id int)',
      );
      await asLogin(scenario, plain.account, database, 'INSERT INTO mine VALUES (7)');
      expect(await asLogin(scenario, plain.account, database, 'TABLE mine')).toEqual([{ id: 7 }]);
    });

    it('leaves what it made to the owner role of its database', async () => {
      const extra = await scenario.client({ extraUserRoles: ['createdb'] });
      const scratch = scenario.name('scratch');
      await asLogin(
        scenario,
        extra.account,
        extra.database,
        `CREATE DATABASE "${scratch}"`,
        'CREATE TABLE mine (id int)',
      );
      await asLogin(scenario, extra.account, scratch, 'CREATE TABLE far (id int)');
      must(await scenario.take(dropStep(extra)));
      expect(await hasRole(extra.account.username)).toBe(false);
      const heir = await scenario.client({ relation: 9 });
      await asLogin(scenario, heir.account, heir.database, 'ALTER TABLE mine ADD COLUMN name text');
      await asLogin(scenario, heir.account, scratch, 'SELECT * FROM far');
    });

    it('loses them when they are no longer asked for', async () => {
      const { step, account, database } = await scenario.client({ extraUserRoles: ['createdb'] });
      must(await scenario.take({ ...step, extraUserRoles: [] }));
      const create = `CREATE DATABASE "${scenario.name('scratch')}"`;
      await expect(asLogin(scenario, account, database, create)).rejects.toMatchObject({ code: '42501' });
      expect(await asLogin(scenario, account, database, 'SELECT current_user::text AS me')).toEqual([
        { me: `troupe_owner_${database}` },
      ]);
    });

    it('is refused any role but those two', async () => {
      const { step } = await scenario.client();
      const outcome = await scenario.take({ ...step, extraUserRoles: ['createdb', 'SUPERUSER'] });
      expect(outcome).toMatchObject({ kind: 'refused', reason: expect.stringContaining('SUPERUSER') });
    });
  });

  describe('a login that is removed', () => {
    it('goes with its sessions and grants; database and tables stay, and a new login alters them', async () => {
      const { account, database, relation } = await scenario.client();
      await asLogin(scenario, account, database, 'CREATE TABLE item (id int)', 'INSERT INTO item VALUES (1)');
      await using session = await connectAs(scenario.server, account, database);
      must(await scenario.take(dropStep({ relation, account })));
      await session.ended;
      expect(await hasRole(account.username)).toBe(false);
      await expect(asLogin(scenario, account, database, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
      const again = await scenario.client({ relation: relation + 1, username: account.username });
      await asLogin(scenario, again.account, database, 'ALTER TABLE item ADD COLUMN name text');
      expect(await asLogin(scenario, again.account, database, 'TABLE item')).toEqual([{ id: 1, name: null }]);
    });

    it('cannot come back while its sessions are being ended', async () => {
      const { account, database, relation } = await scenario.client();
      await using proxy = await openProxy(scenario.server);
      const held = proxy.hold('pg_terminate_backend');
      const dropping = scenario.take(dropStep({ relation, account }), {
        primary: { host: '127.0.0.1', port: proxy.port },
      });
      await held.arrived;
      await expect(asLogin(scenario, account, database, 'SELECT 1')).rejects.toThrow('not permitted to log in');
      held.release();
      must(await dropping);
    });

    it('goes although it made roles and gave them to others', async () => {
      const plain = await scenario.client();
      const extra = await scenario.client({ extraUserRoles: ['createrole'] });
      const reader = scenario.name('reader');
      await asLogin(
        scenario,
        extra.account,
        extra.database,
        `CREATE ROLE "${reader}"`,
        `GRANT "${reader}" TO "${plain.account.username}"`,
      );
      must(await scenario.take(dropStep(extra)));
      expect(await hasRole(extra.account.username)).toBe(false);
      expect(await hasRole(reader)).toBe(true);
    });

    it('leaves everything it owned as itself, of whatever kind, to the owner role', async () => {
      const { account, database, relation } = await scenario.client();
      const { username } = account;
      await asLogin(
        scenario,
        account,
        database,
        'CREATE SCHEMA late',
        'CREATE TABLE granted (id int)',
        `GRANT SELECT ON granted TO "${username}"`,
        `GRANT CREATE ON DATABASE "${database}" TO "${username}"`,
      );
      await asLogin(
        scenario,
        account,
        database,
        'SET ROLE NONE',
        'CREATE SCHEMA own',
        'CREATE TABLE own.t (id serial PRIMARY KEY)',
        'CREATE VIEW own.v AS TABLE own.t',
        'CREATE MATERIALIZED VIEW own.m AS TABLE own.t',
        "CREATE TYPE own.e AS ENUM ('a')",
        'CREATE DOMAIN own.d AS int',
        "CREATE FUNCTION own.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION late.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        'SELECT lo_create(0)',
        'CREATE TABLE public.t (id int)',
        'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC',
        'CREATE TEXT SEARCH DICTIONARY own.dict (TEMPLATE = simple)',
        'CREATE COLLATION own.c FROM "C"',
        'CREATE EXTENSION citext',
      );
      // The schema changes hands after the function in it was made: the order in which REASSIGN would meet them does not work.
      await rowsOf(scenario, `ALTER SCHEMA late OWNER TO "${username}"`, [], database);
      must(await scenario.take(dropStep({ relation, account })));
      expect(await hasRole(username)).toBe(false);
      const owners = await rowsOf(
        scenario,
        `
        SELECT DISTINCT pg_get_userbyid(owner)::text AS owner FROM (
          SELECT relowner AS owner FROM pg_class WHERE relnamespace::regnamespace::text IN ('own', 'late', 'public')
          UNION SELECT proowner FROM pg_proc WHERE pronamespace::regnamespace::text IN ('own', 'late')
          UNION SELECT nspowner FROM pg_namespace WHERE nspname IN ('own', 'late')
          UNION SELECT typowner FROM pg_type WHERE typnamespace::regnamespace::text IN ('own', 'late')
          UNION SELECT lomowner FROM pg_largeobject_metadata) owned`,
        [],
        database,
      );
      expect(owners).toEqual([{ owner: `troupe_owner_${database}` }]);
      const heir = await scenario.client({ relation: relation + 1 });
      await asLogin(
        scenario,
        heir.account,
        database,
        'INSERT INTO own.t DEFAULT VALUES',
        'DROP SCHEMA own CASCADE',
        'DROP SCHEMA late CASCADE',
      );
    });

    it('is dropped although its database is set against us', async () => {
      const { account, database, relation } = await scenario.client();
      await asLogin(
        scenario,
        account,
        database,
        'CREATE SCHEMA trap',
        `CREATE FUNCTION trap.current_database() RETURNS name LANGUAGE sql AS 'SELECT NULL::name'`,
        `ALTER DATABASE "${database}" SET search_path = trap, pg_catalog`,
        `ALTER DATABASE "${database}" SET default_transaction_read_only = on`,
        `ALTER DATABASE "${database}" SET role = "troupe_owner_${database}"`,
        'SET ROLE NONE',
        'CREATE TABLE public.kept (id int)',
      );
      must(await scenario.take({ type: 'ensureDatabase', database }));
      must(await scenario.take(dropStep({ relation, account })));
      expect(await hasRole(account.username)).toBe(false);
      const owner = 'SELECT pg_get_userbyid(relowner)::text AS owner FROM pg_class WHERE relname = $1';
      expect(await rowsOf(scenario, owner, ['kept'], database)).toEqual([{ owner: `troupe_owner_${database}` }]);
    });

    it('is asked about when somebody has overwritten its comment', async () => {
      const { account, relation } = await scenario.client();
      await rowsOf(scenario, `COMMENT ON ROLE "${account.username}" IS 'the web shop'`);
      const outcome = await scenario.take(dropStep({ relation, account }));
      const reason = expect.stringContaining(`COMMENT ON ROLE ${'"'}${account.username}${'"'}`);
      expect(outcome).toMatchObject({ kind: 'refused', reason });
      expect(await hasRole(account.username)).toBe(true);
    });

    it('keeps its database when rights elsewhere stop it, and PostgreSQL says which', async () => {
      const { account, relation } = await scenario.client();
      const elsewhere = scenario.name('elsewhere');
      await rowsOf(scenario, `CREATE DATABASE "${elsewhere}"`);
      await rowsOf(scenario, 'CREATE TABLE secret (id int)', [], elsewhere);
      await rowsOf(scenario, `GRANT SELECT ON secret TO "${account.username}"`, [], elsewhere);
      const outcome = await scenario.take(dropStep({ relation, account }));
      if (rights === 'superuser') return expect(outcome).toEqual({ kind: 'done' });
      expect(outcome).toMatchObject({ kind: 'refused', reason: expect.stringContaining(elsewhere) });
      await rowsOf(scenario, `DROP OWNED BY "${account.username}"`, [], elsewhere);
      must(await scenario.take(dropStep({ relation, account })));
      expect(await grantsOf(account.username)).toEqual([]);
    });
  });

  it('does nothing more when a step is repeated', async () => {
    must(await scenario.take({ type: 'raiseFence' }));
    const { database, step, relation, account } = await scenario.client();
    const extra = await scenario.client({ extraUserRoles: ['createdb'] });
    const before = await pictureOf(scenario, scenario.mark);
    for (const repeated of [{ type: 'raiseFence' }, { type: 'ensureDatabase', database }, step, extra.step] as const)
      must(await scenario.take(repeated));
    expect(await pictureOf(scenario, scenario.mark)).toEqual(before);
    must(await scenario.take(dropStep({ relation, account })));
    const gone = await pictureOf(scenario, scenario.mark);
    must(await scenario.take(dropStep({ relation, account })));
    expect(await pictureOf(scenario, scenario.mark)).toEqual(gone);
    expect(gone.some(({ name }) => name === account.username)).toBe(false);
  });

  const hostile = [
    'or"ders',
    "or'ders",
    'Größe 漢字',
    'a; DROP TABLE x --',
    '$1 %I \\',
    'pg_orders',
    'x'.repeat(20),
    ' ',
  ];
  it.each(hostile)('quotes the name %j', async (text) => {
    const database = `${text}${scenario.name('')}`;
    const username = `${text.replace('pg_', 'p_')}u${scenario.name('')}`;
    const { account, relation } = await scenario.client({ database, username });
    await asLogin(scenario, account, database, 'CREATE TABLE t (id int)');
    must(await scenario.take({ type: 'ensureDatabase', database }));
    must(await scenario.take(dropStep({ relation, account })));
    expect(await hasRole(username)).toBe(false);
    expect(await rowsOf(scenario, 'SELECT 1 AS one FROM pg_class WHERE relname = $1', ['t'], database)).toEqual([
      { one: 1 },
    ]);
  });

  it('takes names of 63 bytes as they are, each for itself, and refuses longer ones', async () => {
    const longest = (last: string): string => `${scenario.name('ü')}${'x'.repeat(60)}`.slice(0, 61) + last;
    const [first, second] = [longest('a'), longest('b')];
    expect(Buffer.byteLength(first)).toBe(63);
    const one = await scenario.client({ database: first, username: first });
    const two = await scenario.client({ database: second, username: second });
    await expect(asLogin(scenario, two.account, first, 'SELECT 1')).rejects.toMatchObject({ code: '42501' });
    must(await scenario.take(dropStep(one)));
    const tooLong = await scenario.take({ type: 'ensureDatabase', database: `${first}y` });
    expect(tooLong).toMatchObject({ kind: 'refused', reason: expect.stringContaining('64 bytes') });
    const account = await createCredentials().mint(`${first}y`);
    const login = await scenario.take(loginStep({ relation: 5, database: first, account }));
    expect(login).toMatchObject({ kind: 'refused', reason: expect.stringContaining('64 bytes') });
  });

  describe('the fence', () => {
    const database = (): string => scenario.name('orders');
    const hasDatabase = async (): Promise<boolean> =>
      (await rowsOf(scenario, 'SELECT 1 FROM pg_database WHERE datname = $1', [database()])).length === 1;

    it('refuses every step of an older leader, and of another holder of the same epoch', async () => {
      const { step, account, relation } = await scenario.client();
      must(await scenario.take({ type: 'raiseFence' }, { leadership: leader(3) }));
      const before = await pictureOf(scenario, scenario.mark);
      const next = { type: 'ensureDatabase', database: scenario.name('second') } as const;
      for (const leadership of [leader(2), leader(3, 'another life')]) {
        for (const late of [{ type: 'raiseFence' }, next, step, dropStep({ relation, account })] as const)
          expect(await scenario.take(late, { leadership })).toEqual({ kind: 'fenced' });
      }
      expect(await pictureOf(scenario, scenario.mark)).toEqual(before);
      must(await scenario.take(next, { leadership: leader(3) }));
    });

    it('is raised by any step where a failover or a restored dump has lost it', async () => {
      must(await scenario.take({ type: 'raiseFence' }, { leadership: leader(2) }));
      await rowsOf(scenario, 'DELETE FROM troupe.fence', [], `troupe_${scenario.application}`);
      must(await scenario.take({ type: 'ensureDatabase', database: database() }, { leadership: leader(2) }));
      expect(await scenario.take({ type: 'raiseFence' })).toEqual({ kind: 'fenced' });
    });

    it('lets nobody else in', async () => {
      must(await scenario.take({ type: 'raiseFence' }));
      const { account } = await scenario.client();
      const fence = `troupe_${scenario.application}`;
      await expect(asLogin(scenario, account, fence, 'TABLE troupe.fence')).rejects.toMatchObject({ code: '42501' });
    });

    it('is not kept in a database that a client has laid out for it', async () => {
      const { account, database: theirs } = await scenario.client({ extraUserRoles: ['createdb'] });
      await using other = await openScenario(server(), rights);
      const trap = `troupe_${other.application}`;
      await asLogin(scenario, account, theirs, `CREATE DATABASE "${trap}"`);
      await asLogin(
        scenario,
        account,
        trap,
        'CREATE SCHEMA troupe',
        'CREATE VIEW troupe.fence AS SELECT 1 / 0 AS epoch, NULL::text AS nonce, NULL::text AS application',
      );
      const outcome = await other.take({ type: 'raiseFence' });
      expect(outcome).toMatchObject({
        kind: 'refused',
        reason: expect.stringContaining(`it belongs to "${account.username}"`),
      });
      expect(await hasDatabase()).toBe(true);
    });
  });
});

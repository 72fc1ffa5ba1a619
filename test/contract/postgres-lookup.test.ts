import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PostgresStep } from '../../src/actors/model/backend.ts';
import type { Account } from '../../src/actors/model/snapshot.ts';
import { createCredentials } from '../../src/infra/credentials/credentials.ts';
import { postgresServers, useServer } from '../support/servers.ts';
import {
  asLogin,
  dropStep,
  leader,
  must,
  openScenario,
  type Rights,
  rowsOf,
  type Scenario,
  type TestClient,
} from './postgres-scenario.ts';

const places = postgresServers().flatMap(([name, start]) =>
  (['ordinary', 'superuser'] as const).map((rights) => [name, rights, start] as const),
);

interface Maker extends TestClient {
  readonly lookup: Account;
  readonly ensure: Extract<PostgresStep, { type: 'ensureLookup' }>;
}

/** The lookup of logins that a client makes by itself, without PgBouncer. */
describe.each(places)('the lookup of logins on %s with %s rights', (_, rights: Rights, start) => {
  const server = useServer(start);
  let scenario: Scenario;
  beforeAll(async () => {
    scenario = await openScenario(server(), rights);
    must(await scenario.take({ type: 'raiseFence' }));
  });
  afterAll(() => scenario[Symbol.asyncDispose]());

  const maker = async (database: string): Promise<Maker> => {
    const client = await scenario.client({ database, extraUserRoles: ['createrole'] });
    const lookup = await createCredentials().mint(`${client.account.username}_lookup`);
    const { relation } = client;
    const { username } = client.account;
    return { ...client, lookup, ensure: { type: 'ensureLookup', relation, database, username, lookup } };
  };
  const letRead = async (database: string): Promise<void> => {
    if (rights === 'ordinary')
      await rowsOf(scenario, `GRANT SELECT ON pg_authid TO "${scenario.access.username}"`, [], database);
  };
  const ready = async (what: string): Promise<Maker> => {
    const made = await maker(scenario.name(what));
    await letRead(made.database);
    must(await scenario.take(made.ensure));
    return made;
  };
  const clientRole = ({ database }: Maker): string => `troupe_client_${database}`;
  const ask = (made: Maker, login: string) =>
    asLogin(scenario, made.lookup, made.database, `SELECT username, secret FROM troupe.lookup('${login}')`);
  const findings = async (made: Maker) => {
    const audit = await scenario.audit([made]);
    if (audit.kind !== 'audited') throw new Error(`the audit is ${audit.kind}`);
    return audit.findings;
  };

  it('is refused with the missing right in a sentence, where secrets may not be read', async () => {
    const made = await maker(scenario.name('closed'));
    const outcome = await scenario.take(made.ensure);
    if (rights === 'superuser') return expect(outcome).toEqual({ kind: 'done' });
    expect(outcome).toEqual({
      kind: 'refused',
      reason: expect.stringMatching(
        /may not read the secrets of roles: as a superuser run in database "closed_.*GRANT SELECT ON pg_catalog\.pg_authid TO/,
      ),
    });
    await letRead(made.database);
    must(await scenario.take(made.ensure));
  });

  it('finds logins that are members of the client role, as it finds no other', async () => {
    const made = await ready('found');
    const name = (what: string) => scenario.name(what);
    await asLogin(
      scenario,
      made.account,
      made.database,
      `CREATE ROLE ${name('member')} LOGIN PASSWORD 'p'`,
      `CREATE ROLE ${name('expired')} LOGIN PASSWORD 'p' VALID UNTIL '2020-01-01'`,
      `CREATE ROLE ${name('later')} LOGIN PASSWORD 'p' VALID UNTIL '2999-01-01'`,
      `CREATE ROLE ${name('closed')} NOLOGIN PASSWORD 'p'`,
      `CREATE ROLE ${name('between')} NOLOGIN`,
      `CREATE ROLE ${name('indirect')} LOGIN PASSWORD 'p'`,
      `GRANT ${clientRole(made)} TO ${['member', 'expired', 'later', 'closed', 'between'].map(name).join(', ')}`,
      `GRANT ${name('between')} TO ${name('indirect')}`,
    );
    await rowsOf(
      scenario,
      `CREATE ROLE ${name('super')} SUPERUSER LOGIN PASSWORD 'p' IN ROLE ${clientRole(made)};
       CREATE ROLE ${name('replica')} REPLICATION LOGIN PASSWORD 'p' IN ROLE ${clientRole(made)};
       CREATE ROLE ${name('stranger')} LOGIN PASSWORD 'p'`,
    );
    for (const login of ['member', 'later', 'indirect'].map(name))
      expect(await ask(made, login)).toEqual([{ username: login, secret: expect.stringMatching(/^SCRAM-SHA-256\$/) }]);
    const others = ['expired', 'closed', 'super', 'replica', 'stranger'].map(name);
    for (const login of [
      ...others,
      made.account.username,
      made.lookup.username,
      scenario.access.username,
      "' OR true --",
    ])
      expect([login, await ask(made, login.replaceAll("'", "''"))]).toEqual([login, []]);
  });

  it('finds what its client has made its own in another way', async () => {
    const made = await ready('own');
    const name = scenario.name('child');
    const [version] = await rowsOf(scenario, `SELECT current_setting('server_version_num')::int AS number`);
    // Since 16 it is recorded who made a role; before, whoever may make roles may grant its own.
    const making =
      Number(version?.['number']) >= 160_000
        ? [`CREATE ROLE ${name} LOGIN PASSWORD 'p'`]
        : [`CREATE ROLE ${name} LOGIN PASSWORD 'p' IN ROLE ${made.account.username}`];
    await asLogin(scenario, made.account, made.database, ...making);
    expect(await ask(made, name)).toHaveLength(1);
  });

  it('answers its own login and nobody else, whatever is in front of its search_path', async () => {
    const made = await ready('asked');
    const other = await scenario.client({ database: made.database });
    for (const login of [made.account, other.account])
      await expect(asLogin(scenario, login, made.database, `SELECT troupe.lookup('x')`)).rejects.toThrow(
        /permission denied/,
      );
    await expect(asLogin(scenario, made.lookup, made.database, 'SELECT rolpassword FROM pg_authid')).rejects.toThrow(
      /permission denied/,
    );
    await expect(asLogin(scenario, made.lookup, made.database, 'CREATE TABLE t (i int)')).rejects.toThrow(
      /permission denied/,
    );
    await asLogin(
      scenario,
      other.account,
      made.database,
      `CREATE FUNCTION public.pg_has_role(oid, oid, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'`,
      `CREATE VIEW public.pg_roles AS SELECT * FROM pg_catalog.pg_roles`,
    );
    await rowsOf(scenario, `CREATE ROLE ${scenario.name('alien')} LOGIN PASSWORD 'p'`);
    await asLogin(
      scenario,
      made.lookup,
      made.database,
      'SET search_path = public, pg_catalog',
      `SELECT * FROM troupe.lookup('${scenario.name('alien')}')`,
    ).then((rows) => expect(rows).toEqual([]));
  });

  it('is the same when it is made twice, and does not take what is somebody else’s', async () => {
    const made = await ready('twice');
    must(await scenario.take(made.ensure));
    expect(await findings(made)).toEqual([]);
    const other = await maker(scenario.name('taken'));
    await letRead(other.database);
    await rowsOf(scenario, `CREATE ROLE troupe_client_${other.database}`);
    expect(await scenario.take(other.ensure)).toMatchObject({
      kind: 'refused',
      reason: expect.stringContaining('did not make it'),
    });
    await rowsOf(scenario, `DROP ROLE troupe_client_${other.database}`);
    await asLogin(scenario, other.account, other.database, `CREATE SCHEMA troupe`);
    const outcome = await scenario.take(other.ensure);
    expect(outcome).toMatchObject({ kind: 'refused', reason: expect.stringContaining('rename that schema') });
  });

  let changes = 0;
  it.each<readonly [string, (made: Maker) => string]>([
    [
      'its function is another',
      () =>
        `CREATE OR REPLACE FUNCTION troupe.lookup(login text) RETURNS TABLE (username text, secret text) LANGUAGE sql AS 'SELECT login, login'`,
    ],
    ['its function is gone', () => 'DROP FUNCTION troupe.lookup(text)'],
    ['everybody may ask', () => 'GRANT EXECUTE ON FUNCTION troupe.lookup(text) TO PUBLIC'],
    ['its login may not ask', ({ lookup }) => `REVOKE EXECUTE ON FUNCTION troupe.lookup(text) FROM ${lookup.username}`],
    ['its login has another password', ({ lookup }) => `ALTER ROLE ${lookup.username} PASSWORD 'another'`],
    ['its login cannot log in', ({ lookup }) => `ALTER ROLE ${lookup.username} NOLOGIN`],
    ['its client role can log in', (made) => `ALTER ROLE ${clientRole(made)} LOGIN`],
    [
      'its client may not grant the role',
      (made) =>
        `SET ROLE "${scenario.access.username}"; REVOKE ${clientRole(made)} FROM ${made.account.username} CASCADE`,
    ],
  ])('is found out and mended where %s', async (_what, sql) => {
    const made = await ready(`mend_${changes++}`);
    expect(await findings(made)).toEqual([]);
    await rowsOf(scenario, sql(made), [], made.database);
    const found = await findings(made);
    expect(found).toEqual([{ kind: 'mendable', relation: made.relation, step: 'ensureLookup' }]);
    must(await scenario.take(made.ensure));
    expect(await findings(made)).toEqual([]);
  });

  it('goes with the last client that makes logins, and nothing of it stays', async () => {
    const first = await ready('gone');
    const second = await maker(first.database);
    must(await scenario.take(second.ensure));
    const child = scenario.name('orphan');
    await asLogin(
      scenario,
      first.account,
      first.database,
      `CREATE ROLE ${child} LOGIN PASSWORD 'p' IN ROLE ${clientRole(first)}`,
      `CREATE TABLE t (i int)`,
      `GRANT SELECT ON t TO ${clientRole(first)}`,
    );
    const drop = ({ relation, database, lookup }: Maker, isLast: boolean): PostgresStep => ({
      type: 'dropLookup',
      relation,
      database,
      username: lookup.username,
      isLast,
    });
    must(await scenario.take(drop(first, false)));
    must(await scenario.take(dropStep(first)));
    await rowsOf(scenario, `GRANT ${clientRole(first)} TO ${child}`);
    expect(await ask(second, child)).toHaveLength(1);
    must(await scenario.take(drop(second, true)));
    must(await scenario.take(drop(second, true)));
    must(await scenario.take(dropStep(second)));
    const left = `SELECT rolname::text AS name FROM pg_roles
      WHERE shobj_description(oid, 'pg_authid') LIKE $1 OR rolname = $2 ORDER BY 1`;
    const tags = `troupe:${scenario.application}:%gone%`;
    expect(await rowsOf(scenario, left, [tags, clientRole(first)])).toEqual([
      { name: `troupe_owner_${first.database}` },
    ]);
    expect(await rowsOf(scenario, `SELECT FROM pg_namespace WHERE nspname = 'troupe'`, [], first.database)).toEqual([]);
    expect(await rowsOf(scenario, 'SELECT FROM pg_roles WHERE rolname = $1', [child])).toHaveLength(1);
  });

  it('is refused to a leader that is past', async () => {
    const made = await ready('past');
    must(await scenario.take({ type: 'raiseFence' }, { leadership: leader(2) }));
    expect(await scenario.take(made.ensure)).toEqual({ kind: 'fenced' });
  });
});

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PostgresStep, Provision } from '../../src/actors/model/backend.ts';
import type { Right } from '../../src/actors/model/right.ts';
import { Secret } from '../../src/actors/model/secret.ts';
import { createCredentials } from '../../src/infra/credentials/credentials.ts';
import { type AncestorsClient, servedByAncestor, servedByAncestorOn16 } from '../support/ancestors-postgres.ts';
import { postgresServers, useServer } from '../support/servers.ts';
import {
  asLogin,
  dropStep,
  leader,
  must,
  openScenario,
  pictureOf,
  rowsOf,
  type Scenario,
} from './postgres-scenario.ts';

type Adopt = Extract<PostgresStep, { type: 'adoptLogin' }>;

describe.each(postgresServers())('what a client had before, on %s', (_, start) => {
  const server = useServer(start);
  let scenario: Scenario;
  beforeEach(async () => {
    scenario = await openScenario(server(), 'superuser');
  });
  afterEach(() => scenario[Symbol.asyncDispose]());

  const clientOf = (what: string, more: Partial<AncestorsClient> = {}): AncestorsClient => ({
    database: scenario.name('orders'),
    username: scenario.name(`relation_id_${what}`),
    password: new Secret(`kept-${what}`),
    ...more,
  });
  const stepOf = async (
    { database, username, password }: AncestorsClient,
    relation: number,
    rights: readonly Right[] = [],
  ): Promise<Adopt> => {
    const account = await createCredentials().keep(username, password);
    return { type: 'adoptLogin', relation, database, ...account, rights };
  };
  const adopt = async (client: AncestorsClient, relation: number, rights: readonly Right[] = []): Promise<Adopt> => {
    must(await scenario.take({ type: 'adoptDatabase', database: client.database }));
    const step = await stepOf(client, relation, rights);
    must(await scenario.take(step));
    return step;
  };
  const provisionOf = ({ relation, database, username, password, verifier, rights }: Adopt): Provision => ({
    relation,
    database,
    username,
    password,
    verifier,
    extraUserRoles: [],
    adopted: rights,
  });
  const findings = async (...steps: readonly Adopt[]) => {
    const { postgres, access, primary } = scenario;
    const provisions = steps.map(provisionOf);
    const audit = await postgres.audit(access, primary, leader(1), provisions, new AbortController().signal);
    return audit.kind === 'audited' ? audit.findings : audit.kind;
  };
  const ownersOf = (database: string) =>
    rowsOf(
      scenario,
      `SELECT relname AS name, pg_get_userbyid(relowner) AS owner FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1`,
      [],
      database,
    );
  const made = [
    ['PostgreSQL 14', servedByAncestor],
    ['PostgreSQL 16', servedByAncestorOn16],
  ] as const;

  describe.each(made)('as it was made beside the charm of %s', (_name, serve) => {
    it('goes on: same password, same rights, and what it owned is its own', async () => {
      const client = clientOf('7');
      await serve(server(), client);
      await asLogin(scenario, client, client.database, ...actingAs(serve, client), 'CREATE TABLE t (id int)');
      const before = await ownersOf(client.database);
      const step = await adopt(client, 7);
      expect(await ownersOf(client.database)).toEqual(before);
      expect(await asLogin(scenario, client, client.database, 'SELECT session_user::text, current_user::text')).toEqual(
        [{ session_user: client.username, current_user: client.username }],
      );
      await asLogin(scenario, client, client.database, ...actingAs(serve, client), 'ALTER TABLE t ADD name text');
      const kept = 'SELECT rolpassword FROM pg_authid WHERE rolname = $1';
      expect(await rowsOf(scenario, kept, [client.username])).toEqual([{ rolpassword: step.verifier.reveal() }]);
      expect(await findings(step)).toEqual([]);
    });

    it('is shared with clients to come, both ways', async () => {
      const client = clientOf('7');
      await serve(server(), client);
      await asLogin(scenario, client, client.database, ...actingAs(serve, client), 'CREATE TABLE old (id int)');
      await adopt(client, 7);
      const next = await scenario.client({ relation: 8 });
      await asLogin(scenario, next.account, next.database, 'INSERT INTO old VALUES (1)', 'CREATE TABLE new (id int)');
      await asLogin(scenario, client, client.database, 'INSERT INTO new VALUES (2)');
      await asLogin(scenario, client, client.database, ...actingAs(serve, client), 'CREATE TABLE newer (id int)');
      expect(await asLogin(scenario, next.account, next.database, 'TABLE newer')).toEqual([]);
      expect(await asLogin(scenario, next.account, next.database, 'TABLE old')).toEqual([{ id: 1 }]);
    });

    it('loses its login with its relation, and the database stays with all there is in it', async () => {
      const [client, other] = [clientOf('7'), clientOf('8')];
      await serve(server(), client);
      await asLogin(scenario, client, client.database, ...actingAs(serve, client), 'CREATE TABLE t AS SELECT 1 AS id');
      await serve(server(), other);
      const step = await adopt(client, 7);
      const second = await adopt(other, 8);
      await asLogin(scenario, client, client.database, 'CREATE TEMPORARY TABLE scratch (id int)');
      must(await scenario.take(dropStep({ relation: 7, account: step })));
      await expect(asLogin(scenario, client, client.database, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
      expect(await asLogin(scenario, other, client.database, 'TABLE t')).toEqual([{ id: 1 }]);
      must(await scenario.take(dropStep({ relation: 8, account: second })));
      expect(await rowsOf(scenario, 'TABLE t', [], client.database)).toEqual([{ id: 1 }]);
      const roles = 'SELECT FROM pg_roles WHERE rolname = ANY($1)';
      expect(await rowsOf(scenario, roles, [[client.username, other.username]])).toEqual([]);
    });

    it('is adopted any number of times, and changes nothing after the first', async () => {
      const client = clientOf('7');
      await serve(server(), client);
      const step = await adopt(client, 7);
      const before = await pictureOf(scenario, scenario.mark);
      must(await scenario.take({ type: 'adoptDatabase', database: client.database }));
      must(await scenario.take(step));
      expect(await pictureOf(scenario, scenario.mark)).toEqual(before);
    });
  });

  /** Where its charm lets clients act as one role, sessions do so by themselves there: the server sees to that. */
  const actingAs = (serve: unknown, { database }: AncestorsClient): readonly string[] =>
    serve === servedByAncestorOn16 ? [`SET ROLE "charmed_${database}_owner"`] : [];

  it('leaves closed what is a superuser’s in its database', async () => {
    const client = clientOf('7');
    await servedByAncestor(server(), client);
    await rowsOf(
      scenario,
      `CREATE SCHEMA hooks; CREATE TABLE public.ledger (id int); CREATE FUNCTION public.rise() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
       REVOKE ALL ON FUNCTION public.rise() FROM PUBLIC`,
      [],
      client.database,
    );
    await asLogin(scenario, client, client.database, 'CREATE SCHEMA shop', 'CREATE TABLE shop.item (id int)');
    await adopt(client, 7);
    const next = await scenario.client({ relation: 8 });
    for (const { username, password } of [client, next.account])
      for (const statement of ['TABLE ledger', 'SELECT rise()', 'CREATE TABLE hooks.t (id int)'])
        await expect(asLogin(scenario, { username, password }, client.database, statement)).rejects.toMatchObject({
          code: '42501',
        });
    await asLogin(scenario, next.account, client.database, 'CREATE TABLE shop.more (id int)');
    expect(await asLogin(scenario, next.account, client.database, 'TABLE shop.item')).toEqual([]);
  });

  it('is known by a password that PostgreSQL keeps in the older form as well', async () => {
    const client = clientOf('7', { encryption: 'md5' });
    await servedByAncestor(server(), client);
    await adopt(client, 7);
    expect(await asLogin(scenario, client, client.database, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it.each([
    ['SUPERUSER', ['superuser']],
    ['CREATEDB CREATEROLE', ['createdb', 'createrole']],
  ] as const)('keeps %s where its relation asked for that', async (attributes, rights) => {
    const client = clientOf('7', { attributes });
    await servedByAncestor(server(), client);
    const sql = 'SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = $1';
    const before = await rowsOf(scenario, sql, [client.username]);
    const step = await adopt(client, 7, rights);
    expect(await rowsOf(scenario, sql, [client.username])).toEqual(before);
    expect(await findings(step)).toEqual([]);
    must(await scenario.take(dropStep({ relation: 7, account: step })));
    expect(await rowsOf(scenario, sql, [client.username])).toEqual([]);
  });

  describe('is left untouched, with a sentence,', () => {
    const refusedOf = async (client: AncestorsClient, rights: readonly Right[] = []): Promise<string> => {
      must(await scenario.take({ type: 'adoptDatabase', database: client.database }));
      const before = await pictureOf(scenario, scenario.mark);
      const outcome = await scenario.take(await stepOf(client, 7, rights));
      expect(await pictureOf(scenario, scenario.mark)).toEqual(before);
      return outcome.kind === 'refused' ? outcome.reason : outcome.kind;
    };
    it.each([
      ['SUPERUSER', [], 'it is SUPERUSER, which that relation never asked for'],
      ['CREATEROLE', ['createdb'], 'it is CREATEROLE, which'],
      ['REPLICATION', [], 'it is REPLICATION, which'],
      ['BYPASSRLS CREATEDB', ['createrole'], 'it is CREATEDB and BYPASSRLS, which'],
    ] as const)('when it is %s and its relation asked for %j', async (attributes, rights, words) => {
      const client = clientOf('7', { attributes });
      await servedByAncestor(server(), client);
      expect(await refusedOf(client, rights)).toContain(words);
    });

    it('when it has another password than its relation was given', async () => {
      const client = clientOf('7');
      await servedByAncestor(server(), client);
      expect(await refusedOf({ ...client, password: new Secret('guessed') })).toContain('it has another password');
      expect(await asLogin(scenario, client, client.database, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    });

    it('when it is of another relation or application', async () => {
      const client = clientOf('7');
      await servedByAncestor(server(), client);
      await adopt(client, 8);
      expect(await refusedOf(client)).toContain(`it is marked as "troupe:${scenario.application}:8"`);
      await using other = await openScenario(server(), 'superuser');
      expect(await other.take({ type: 'adoptDatabase', database: client.database })).toMatchObject({
        kind: 'refused',
        reason: expect.stringContaining('belongs to another Troupe application'),
      });
    });

    it('when it is the administrator’s own', async () => {
      const client = clientOf('7');
      await servedByAncestor(server(), client);
      const { username, password } = server().superuser;
      expect(await refusedOf({ ...client, username, password }, ['superuser'])).toContain(
        'it is the login that the backend is administered with',
      );
    });

    it('when its database is gone, which is not made anew', async () => {
      const database = scenario.name('gone');
      expect(await scenario.take({ type: 'adoptDatabase', database })).toMatchObject({
        kind: 'refused',
        reason: expect.stringContaining('somebody dropped or renamed it'),
      });
      expect(await rowsOf(scenario, 'SELECT FROM pg_database WHERE datname = $1', [database])).toEqual([]);
    });

    it('when the administrator is no superuser', async () => {
      const client = clientOf('7');
      await servedByAncestor(server(), client);
      await using other = await openScenario(server(), 'ordinary');
      for (const step of [{ type: 'adoptDatabase', database: client.database } as const, await stepOf(client, 7)])
        expect(await other.take(step)).toMatchObject({ kind: 'refused', reason: expect.stringContaining('SUPERUSER') });
    });
  });

  it('in a database of somebody else is served there, and the database stays theirs', async () => {
    const [theirs, database] = [scenario.name('dba'), scenario.name('orders')];
    await rowsOf(scenario, `CREATE ROLE "${theirs}" CREATEDB`);
    await rowsOf(scenario, `CREATE DATABASE "${database}" OWNER "${theirs}"`);
    const client = clientOf('7');
    await servedByAncestor(server(), client);
    const step = await adopt(client, 7);
    expect(await findings(step)).toEqual([]);
    const owner = 'SELECT pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = $1';
    expect(await rowsOf(scenario, owner, [database])).toEqual([{ owner: theirs }]);
    expect(await asLogin(scenario, client, database, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    must(await scenario.take(dropStep({ relation: 7, account: step })));
    expect(await rowsOf(scenario, owner, [database])).toEqual([{ owner: theirs }]);
  });

  it.each([
    ['its password is another one', (n: Names) => `ALTER ROLE ${n.login} PASSWORD 'another'`, 'ensureLogin'],
    ['it cannot log in', (n: Names) => `ALTER ROLE ${n.login} NOLOGIN`, 'ensureLogin'],
    ['it was dropped', (n: Names) => `DROP OWNED BY ${n.login}; DROP ROLE ${n.login}`, 'ensureLogin'],
    ['it lost its mark', (n: Names) => `COMMENT ON ROLE ${n.login} IS NULL`, 'ensureLogin'],
    ['it lost its place', (n: Names) => `REVOKE ${n.owner} FROM ${n.login}`, 'ensureLogin'],
    ['its owner role lost its mark', (n: Names) => `COMMENT ON ROLE ${n.owner} IS NULL`, 'mendDatabase'],
    ['its owner role can log in', (n: Names) => `ALTER ROLE ${n.owner} LOGIN`, 'mendDatabase'],
  ] as const)('is mended once it is ours when %s', async (_what, change, named) => {
    const client = clientOf('7');
    await servedByAncestor(server(), client);
    await rowsOf(scenario, `ALTER SCHEMA public OWNER TO CURRENT_USER`, [], client.database);
    const step = await adopt(client, 7);
    const names = { login: `"${client.username}"`, owner: `"troupe_owner_${client.database}"` };
    await rowsOf(scenario, change(names), [], client.database);
    expect(await findings(step)).toEqual([{ kind: 'mendable', relation: 7, step: named }]);
    must(await scenario.take(named === 'mendDatabase' ? { type: 'adoptDatabase', database: client.database } : step));
    expect(await findings(step)).toEqual([]);
    expect(await asLogin(scenario, client, client.database, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });
});

interface Names {
  readonly login: string;
  readonly owner: string;
}

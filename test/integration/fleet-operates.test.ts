import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Options } from '../../src/actors/model/intent.ts';
import { fleetStatusSchema } from '../../src/api/status.ts';
import { queryPostgres, queryThrough } from '../support/fleet-query.ts';
import { allInstances, program, useFleet } from '../support/fleet-under-test.ts';

const fleet = useFleet({ againMs: 6_000 });

describe('a fleet that was brought up', () => {
  it('has three active units, one leader and one generation', async () => {
    const status = fleetStatusSchema.parse(JSON.parse(await fleet().cli('status', '--json')));
    expect(status.units.map(({ unit, status: word }) => [unit, word])).toEqual([
      ['pgbouncer/0', 'active'],
      ['pgbouncer/1', 'active'],
      ['pgbouncer/2', 'active'],
    ]);
    expect(status.units.filter(({ leader }) => leader).map(({ unit }) => unit)).toEqual([status.leader?.unit]);
    const { published, good } = status.generation;
    expect([good, ...status.units.map(({ generation }) => generation.applied)]).toEqual(Array(4).fill(published));
    expect(await fleet().cli('status')).toMatch(/pgbouncer\/0.*\n.*pgbouncer\/1.*\n.*pgbouncer\/2/s);
  });

  it('reads through units 1 and 2 what was written through unit 0', async () => {
    const { first } = fleet();
    await queryThrough(fleet(), 0, first, 'create table rows (v int); insert into rows values (42)');
    expect(await queryThrough(fleet(), 1, first, 'select v from rows')).toEqual([{ v: 42 }]);
    expect(await queryThrough(fleet(), 2, first, 'select v from rows')).toEqual([{ v: 42 }]);
  });

  it.each(['transaction', 'session'])(
    'returns from `config pool_mode=%s` when every instance says so',
    async (mode) => {
      await fleet().cli('config', `pool_mode=${mode}`);
      const modes = allInstances.map(
        async ([unit, instance]) =>
          (await fleet().show(unit, instance, 'CONFIG')).find(([key]) => key === 'pool_mode')?.[1],
      );
      expect(await Promise.all(modes)).toEqual(Array(6).fill(mode));
    },
  );
});

describe('two operators at once', () => {
  it('who looked at the same are not both heard, and the one who is not learns what the other did', async () => {
    const signal = AbortSignal.timeout(15_000);
    const { value: looked } = await fleet().api(0).readOptions(signal);
    const ask = (unit: number, author: string, options: Options) =>
      fleet().api(unit).change({ type: 'setOptions', options }, signal, { author, expected: looked.version });
    const outcomes = await Promise.all([
      ask(0, 'alice', { query_wait_timeout: 111 }),
      ask(1, 'bob', { server_lifetime: 1_111 }),
    ]);
    expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(['accepted', 'moved']);
    const isAlice = outcomes[0]?.kind === 'accepted';
    const lost = outcomes[isAlice ? 1 : 0];
    expect(lost).toMatchObject({
      by: isAlice ? 'alice' : 'bob',
      version: looked.version + 1,
      since: { options: [{ key: isAlice ? 'query_wait_timeout' : 'server_lifetime', before: null }], clients: [] },
    });
    const again = isAlice ? 'server_lifetime=1111' : 'query_wait_timeout=111';
    await fleet().cli('config', again);
    const { value: now } = await fleet().api(2).readOptions(signal);
    const valueOf = (key: string) => now.options.find((option) => option.key === key)?.value;
    expect([valueOf('query_wait_timeout'), valueOf('server_lifetime')]).toEqual([111, 1_111]);
    await fleet().cli('config', '--reset', 'query_wait_timeout,server_lifetime');
  });
});

describe('a second client', () => {
  it('gets a database and a login that work through every unit, and nothing of the first client', async () => {
    await fleet().cli('integrate', 'client', 'second', '--database', 'second');
    const dsns = await Promise.all(
      [0, 1, 2].map((unit) => fleet().cli('dsn', 'second', '--host', `pgbouncer/${unit}`)),
    );
    expect(new Set(dsns).size).toBe(3);
    await psql(dsns[0], 'create table things (name text); insert into things values (session_user)');
    const { username } = await fleet().credentials('second');
    for (const dsn of dsns) expect(await psql(dsn, 'select name from things')).toBe(username);
    expect(await psql(await fleet().cli('dsn', 'second'), 'select name from things')).toBe(username);

    for (const dsn of dsns) {
      const elsewhere = dsn.replace(/\/second(?=$|\?)/, '/first');
      expect(elsewhere).not.toBe(dsn);
      await expect(psql(elsewhere, 'select 1')).rejects.toThrow(/permission denied for database|no such|not allowed/);
    }
    const [right] = await queryPostgres(
      fleet(),
      `select has_database_privilege('${username}', 'first', 'connect') as r`,
    );
    expect(right).toEqual({ r: false });
  });

  it('once removed has no login, auth entry, grant or database entry left, only its database', async () => {
    const { username, password } = await fleet().credentials('second');
    expect(await traces(username)).toEqual({ role: 1, grants: expect.any(Number), authFiles: 3, entries: 6 });
    const said = await fleet().cli('remove-relation', 'second');
    expect(said).toContain('database second stays');

    await fleet().everyoneActive(({ relations }) => relations.every(({ name }) => name !== 'second'));
    expect(await traces(username)).toEqual({ role: 0, grants: 0, authFiles: 0, entries: 0 });
    for (const unit of [0, 1, 2])
      await expect(
        queryThrough(fleet(), unit, { username, password, database: 'second' }, 'select 1'),
      ).rejects.toThrow();
    expect(await queryPostgres(fleet(), 'select count(*)::int as n from things', 'second')).toEqual([{ n: 1 }]);
  });

  it('integrated again reads and alters what its earlier login made', async () => {
    await fleet().cli('integrate', 'client', 'second', '--database', 'second');
    const again = await fleet().credentials('second');
    for (const unit of [0, 1, 2])
      await queryThrough(
        fleet(),
        unit,
        again,
        `alter table things add column c${unit} int; insert into things values ('again')`,
      );
    expect(await queryThrough(fleet(), 1, again, 'select count(*)::int as n from things')).toEqual([{ n: 4 }]);
    await queryThrough(fleet(), 2, again, 'drop table things');
  });
});

/** Where a login and the database of its client are found. */
const traces = async (username: string) => {
  const count = z.tuple([z.object({ n: z.int() })]);
  const countOf = async (sql: string): Promise<number> => count.parse(await queryPostgres(fleet(), sql))[0].n;
  const authFiles = await Promise.all(
    [0, 1, 2].map((unit) => readFile(join(fleet().stateDir(unit), 'userlist.txt'), 'utf8')),
  );
  const entries = await Promise.all(allInstances.map(([unit, instance]) => fleet().show(unit, instance, 'DATABASES')));
  return {
    role: await countOf(`select count(*)::int as n from pg_roles where rolname = '${username}'`),
    grants: await countOf(`select count(*)::int as n from pg_database where datacl::text like '%${username}%'`),
    authFiles: authFiles.filter((text) => text.includes(`"${username}"`)).length,
    entries: entries.filter((rows) => rows.some(([name]) => name === 'second')).length,
  };
};

const psql = async (dsn = '', sql: string): Promise<string> => {
  const { stdout } = await promisify(execFile)(program('psql'), ['-XAtq', '-v', 'ON_ERROR_STOP=1', dsn, '-c', sql], {
    timeout: 20_000,
  });
  return stdout.trim();
};

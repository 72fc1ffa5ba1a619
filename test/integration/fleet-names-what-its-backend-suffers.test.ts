import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Secret } from '../../src/actors/model/secret.ts';
import type { FleetStatus, RelationStatus } from '../../src/actors/model/status.ts';
import { connectAs } from '../contract/postgres-scenario.ts';
import { queryPostgres, queryThrough } from '../support/fleet-query.ts';
import { useFleet } from '../support/fleet-under-test.ts';

const fleet = useFleet({ againMs: 1_000 });
const soonMs = 5_000;

/** What somebody does to a backend, how status names it, and how it is undone. */
interface Harm {
  readonly what: string;
  readonly harm: () => Promise<unknown>;
  /** In the words of the relation that suffers. */
  readonly named: readonly [relation: 'main' | 'first', words: RegExp];
  readonly undo: () => Promise<unknown>;
}

const sql = (text: string) => () => queryPostgres(fleet(), text);
let administratorsSecret = '';
let usualHba = '';
/** PostgreSQL itself writes the file, wherever it runs: a line for each row, as it is. */
const withHba = async (text: string): Promise<void> => {
  const [{ file } = { file: '' }] = await queryPostgres(fleet(), "select current_setting('hba_file') as file");
  const asItIs = String.raw`(format csv, quote E'\x01', delimiter E'\x02', null E'\x03')`;
  const lines = `select line from string_to_table('${text.replaceAll("'", "''")}', E'\\n') as line`;
  await queryPostgres(fleet(), `copy (${lines}) to '${String(file)}' with ${asItIs}`);
  await queryPostgres(fleet(), 'select pg_reload_conf()');
};
const alterSystem = (change: string) => async () => {
  await queryPostgres(fleet(), `alter system ${change}`);
  await queryPostgres(fleet(), 'select pg_reload_conf()');
};

const harms: readonly Harm[] = [
  {
    what: 'the password of its administrator',
    harm: sql("alter role troupe_admin password 'another'"),
    named: ['main', /password authentication failed for user "troupe_admin" \(28P01\)/],
    undo: () => queryPostgres(fleet(), `alter role troupe_admin password '${administratorsSecret}'`),
  },
  {
    what: 'a right of its administrator',
    harm: sql('alter role troupe_admin nocreatedb'),
    named: ['main', /lacks CREATEDB; as a superuser run ALTER ROLE "troupe_admin" CREATEDB/],
    undo: sql('alter role troupe_admin createdb'),
  },
  {
    what: 'its pg_hba.conf',
    harm: () => withHba(`host all troupe_admin all reject\n${usualHba}`),
    named: ['main', /pg_hba\.conf rejects connection .*\(28000\)/],
    undo: () => withHba(usualHba),
  },
  {
    what: 'its writability',
    harm: alterSystem('set default_transaction_read_only = on'),
    named: ['main', /is read-only: default_transaction_read_only is on/],
    undo: alterSystem('reset default_transaction_read_only'),
  },
  {
    what: 'the fence of the leader',
    harm: () => queryPostgres(fleet(), 'update troupe.fence set epoch = 9999', 'troupe_pgbouncer'),
    named: ['main', /fence .* newer leader of an application of this name/],
    undo: () => queryPostgres(fleet(), 'delete from troupe.fence', 'troupe_pgbouncer'),
  },
  {
    what: 'the openness of a client database',
    harm: sql('alter database first allow_connections false'),
    named: ['first', /database "first" takes no connections/],
    undo: sql('alter database first allow_connections true'),
  },
];

describe('a fleet whose backend was harmed', () => {
  beforeAll(async () => {
    const secret = await queryPostgres(fleet(), "select rolpassword from pg_authid where rolname = 'troupe_admin'");
    administratorsSecret = z.tuple([z.object({ rolpassword: z.string() })]).parse(secret)[0].rolpassword;
    const [{ hba } = { hba: '' }] = await queryPostgres(
      fleet(),
      "select pg_read_file(current_setting('hba_file')) as hba",
    );
    usualHba = String(hba).trimEnd();
  });

  it.each(harms)('in $what says so within 5 s, serves on, and is well 5 s after it was undone', async (row) => {
    const { harm, named, undo } = row;
    await using client = await held();
    const [name, words] = named;
    await harm();
    await fleet().watch(0).until(says(name, words), soonMs);
    expect(await client.ask()).toBe(1);
    await undo();
    await fleet().watch(0).until(isWell, soonMs);
    expect(await client.ask()).toBe(1);
    await fleet().everyoneActive(isWell);
  });

  it('by dropping a login gives it back, and the client goes on with what it has', async () => {
    const { username } = fleet().first;
    await queryPostgres(fleet(), `drop role "${username}"`);
    await comesBack();
  });

  it('by changing the password of a login gives it its own back', async () => {
    const { username } = fleet().first;
    const secret = () => queryPostgres(fleet(), `select rolpassword from pg_authid where rolname = '${username}'`);
    const before = await secret();
    await queryPostgres(fleet(), `alter role "${username}" password 'another'`);
    await expect.poll(secret, { timeout: soonMs, interval: 100 }).toEqual(before);
    await comesBack();
  });
  const comesBack = () =>
    expect
      .poll(() => queryThrough(fleet(), 2, fleet().first, 'select 1 as one').catch(String), {
        timeout: soonMs + 2_000,
        interval: 200,
      })
      .toEqual([{ one: 1 }]);

  it('by dropping a database says so, makes no empty one in its place, and is well when it was restored', async () => {
    await queryPostgres(fleet(), 'drop database first with (force)');
    await fleet()
      .watch(0)
      .until(says('first', /database "first" is gone/), soonMs);
    const state = await fleet()
      .watch(0)
      .until(says('first', /remove-relation first/));
    expect(relationIn(state, 'first')).toMatchObject({ state: 'blocked' });
    await expect(queryThrough(fleet(), 0, fleet().first, 'select 1')).rejects.toThrow(/does not exist|login has been/);
    expect(await queryPostgres(fleet(), "select 1 from pg_database where datname = 'first'")).toEqual([]);
    await queryPostgres(fleet(), 'create database first owner troupe_owner_first');
    await fleet().watch(0).until(isWell, soonMs);
    await queryThrough(fleet(), 0, fleet().first, 'create table restored (v int)');
  });

  it('by dropping a database has an empty one again when the client is removed and integrated anew', async () => {
    await queryPostgres(fleet(), 'drop database first with (force)');
    await fleet()
      .watch(0)
      .until(says('first', /database "first" is gone/), soonMs);
    await fleet().change({ type: 'removeRelation', name: 'first' });
    await fleet()
      .watch(0)
      .until((status) => relationIn(status, 'first') === undefined, 15_000);
    await fleet().change({ type: 'addClient', name: 'first', database: 'first', backend: 'main', extraUserRoles: [] });
    const again = await fleet().credentials('first');
    await queryThrough(fleet(), 1, again, 'create table anew (v int)');
    await fleet().everyoneActive(isWell);
  });

  it('by stopping it says so, and is well within 5 s after it has come back', async () => {
    await fleet().postgres.kill();
    await fleet()
      .watch(0)
      .until(says('main', /is away: no primary within reach: .*ECONNREFUSED/), soonMs);
    await fleet().postgres.startAgain();
    await fleet().watch(0).until(isWell, soonMs);
    await fleet().everyoneActive(isWell, soonMs);
  });
});

const relationIn = ({ relations }: FleetStatus, name: string): RelationStatus | undefined =>
  relations.find((relation) => relation.name === name);
const says =
  (name: string, words: RegExp) =>
  (status: FleetStatus): boolean =>
    words.test(relationIn(status, name)?.message ?? '');
const isWell = ({ relations }: FleetStatus): boolean => relations.every(({ state }) => state === 'active');

/** A client that is connected all the time, and has a server connection of its own. */
const held = async (): Promise<AsyncDisposable & { ask(): Promise<unknown> }> => {
  const { username, password, database } = fleet().first;
  const server = { host: fleet().unit(1).address, port: fleet().listenPort };
  const session = await connectAs(server, { username, password: new Secret(password) }, database);
  const ask = async () => (await session.client.query('select 1 as one')).rows[0]?.one;
  await ask();
  return { ask, [Symbol.asyncDispose]: () => session[Symbol.asyncDispose]() };
};

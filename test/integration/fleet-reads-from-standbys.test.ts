import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import type { FleetStatus, UnitStatus } from '../../src/actors/model/status.ts';
import { Secret } from '../../src/actors/model/secret.ts';
import { asSuperuser, createAdministrator, startPostgres } from '../../src/infra/local/postgres.ts';
import { startLoad, unharmed } from '../support/fleet-load.ts';
import { queryThrough } from '../support/fleet-query.ts';
import { program, useFleet } from '../support/fleet-under-test.ts';
import { type RunningPostgres, testAccount, testDirectory } from '../support/servers.ts';

const fleet = useFleet({ againMs: 6_000 });

/** One story, told in order: a backend gets a standby, loses it, gets it back, and is then led by it. */
describe('a fleet whose backend has a standby', () => {
  let standby: RunningPostgres;
  const administrator = { username: 'troupe_admin', password: new Secret('a-new-password') };
  beforeAll(async () => {
    await inPrimary(`alter role ${administrator.username} password '${administrator.password.reveal()}'`);
    standby = await fleet().postgres.startStandby();
  }, 60_000);

  const inPrimary = (sql: string) => inServer(fleet().postgres, sql);
  const textOf = ({ host, port }: { readonly host: string; readonly port: number }) => `${host}:${port}`;
  const reading = () => ({ ...fleet().first, database: 'first_readonly' });
  const integrate = (...servers: readonly { readonly host: string; readonly port: number }[]) =>
    fleet().change({
      type: 'addBackend',
      name: 'main',
      endpoints: servers.map(textOf),
      maintenanceDatabase: 'postgres',
      ...administrator,
    });
  const hasReads = ({ budget }: UnitStatus): boolean =>
    budget.some(({ name, given }) => name === 'first_readonly' && given !== null && given > 0);
  const mainIn = ({ relations }: FleetStatus) => relations.find(({ name }) => name === 'main');

  it('reads from the standby through every unit, and cannot write there', async () => {
    await integrate(fleet().postgres, standby);
    await fleet().everyoneActive((status) => mainIn(status)?.servers?.standbys.length === 1);
    await queryThrough(fleet(), 0, fleet().first, 'create table seen (v int); insert into seen values (42)');
    await servesReads();
    for (const unit of [0, 1, 2])
      expect(await queryThrough(fleet(), unit, reading(), 'select pg_is_in_recovery() as there')).toEqual([
        { there: true },
      ]);
    await expect(queryThrough(fleet(), 1, reading(), 'insert into seen values (1)')).rejects.toThrow(/read-only/);
    expect(await fleet().cli('dsn', 'first', '--read-only')).toMatch(/\/first_readonly$/);
    expect(await fleet().cli('status')).toContain(`standby ${textOf(standby)}`);
  });
  /** In the credentials, which follow the generation that every unit serves. */
  const servesReads = async (): Promise<void> => {
    await expect
      .poll(async () => (await fleet().credentials('first')).readOnlyDatabase, { timeout: 10_000 })
      .toBe('first_readonly');
  };

  it('goes to another address of its primary without an error to those who write', async () => {
    await fleet().cli('config', 'pool_mode=transaction');
    await using load = await startLoad(fleet(), [0, 1, 2]);
    const { port } = fleet().postgres;
    await integrate({ host: 'localhost', port }, standby);
    await fleet().everyoneActive((status) => mainIn(status)?.servers?.primary === `localhost:${port}`);
    const reports = await load.end();
    expect(reports).toEqual(unharmed(reports));
    await integrate(fleet().postgres, standby);
    await fleet().everyoneActive((status) => mainIn(status)?.servers?.primary === textOf(fleet().postgres));
  });

  it('refuses reads at once while no standby is there, and writes go on', async () => {
    await standby.kill();
    await fleet()
      .watch(0)
      .until((status) => mainIn(status)?.servers?.standbys.length === 0, 5_000);
    await fleet().everyoneActive();
    await expect.poll(async () => (await fleet().credentials('first')).readOnlyDatabase, { timeout: 5_000 }).toBe(null);
    await expect(queryThrough(fleet(), 2, reading(), 'select 1')).rejects.toThrow(/no such database/);
    await expect(fleet().cli('dsn', 'first', '--read-only')).rejects.toThrow(/cannot be read from standbys/);
    await queryThrough(fleet(), 2, fleet().first, 'insert into seen values (43)');
  });

  it('reads from the primary where that was chosen, without writing there by accident, until the standby is back', async () => {
    await fleet().cli('config', 'read_only_fallback=primary');
    // The database gives up first what its reads are to have.
    await fleet().everyoneActive(({ units }) => units.every(hasReads));
    expect(await queryThrough(fleet(), 1, reading(), 'select pg_is_in_recovery() as there')).toEqual([
      { there: false },
    ]);
    for (let again = 0; again < 3; again += 1)
      await expect(queryThrough(fleet(), 1, reading(), 'insert into seen values (1)')).rejects.toThrow(/read-only/);
    await standby.startAgain();
    await fleet()
      .watch(0)
      .until((status) => mainIn(status)?.servers?.standbys.length === 1, 5_000);
    // It is seen before the next generation leads there.
    await expect
      .poll(() => queryThrough(fleet(), 1, reading(), 'select pg_is_in_recovery() as there'), { timeout: 10_000 })
      .toEqual([{ there: true }]);
    await fleet().cli('config', '--reset', 'read_only_fallback');
  });

  it('follows a standby that is promoted when the primary has died, within seconds', async () => {
    await fleet().postgres.kill();
    await inServer(standby, 'select pg_promote()');
    const began = performance.now();
    await expect
      .poll(() => queryThrough(fleet(), 0, fleet().first, 'insert into seen values (44) returning v').catch(String), {
        timeout: 10_000,
        interval: 100,
      })
      .toEqual([{ v: 44 }]);
    expect(performance.now() - began).toBeLessThan(8_000);
    const status = await fleet().everyoneActive((seen) => mainIn(seen)?.servers?.primary === textOf(standby));
    expect(mainIn(status)).toMatchObject({ state: 'active', servers: { standbys: [], timeline: 2 } });
    for (const unit of [0, 1, 2])
      expect(await queryThrough(fleet(), unit, fleet().first, 'select max(v) as v from seen')).toEqual([{ v: 44 }]);
  });

  it('stays where it is when the old primary comes back as a primary, and writes nothing there', async () => {
    const { postgres: before } = fleet();
    await before.startAgain();
    const status = await fleet()
      .watch(0)
      .until((seen) => mainIn(seen)?.state === 'blocked', 20_000);
    expect(mainIn(status)?.message).toContain('more than one primary');
    const untouched = await pictureOf(before);
    await fleet().change({ type: 'addClient', name: 'late', database: 'late', backend: 'main', extraUserRoles: [] });
    await queryThrough(fleet(), 1, fleet().first, 'insert into seen values (45)');
    await delay(3_000); // Long enough for several looks, each of which could have done harm.
    expect(await pictureOf(before)).toEqual(untouched);
    expect(await inServer(standby, "select 1 from pg_database where datname = 'late'")).toEqual([]);
    await integrate(standby);
    await fleet().credentials('late');
    expect(await pictureOf(before)).toEqual(untouched);
  });

  it('holds off another cluster behind the same address until it is accepted', async () => {
    await standby.stop();
    const { host, port } = standby;
    const stranger = await startPostgres({
      initdb: program('initdb'),
      postgres: program('postgres'),
      directory: await testDirectory(),
      account: testAccount(),
      port,
    });
    try {
      await createAdministrator(stranger, administrator.username);
      await inServer(stranger, `alter role ${administrator.username} password '${administrator.password.reveal()}'`);
      const untouched = await pictureOf(stranger);
      const status = await fleet()
        .watch(0)
        .until((seen) => mainIn(seen)?.message.includes('another PostgreSQL cluster') === true, 10_000);
      const [, systemId = ''] = /--accept-cluster (\d+)/.exec(mainIn(status)?.message ?? '') ?? [];
      await fleet().change({ type: 'addClient', name: 'more', database: 'more', backend: 'main', extraUserRoles: [] });
      await delay(3_000);
      expect(await pictureOf(stranger)).toEqual(untouched);
      await fleet().change({
        type: 'addBackend',
        name: 'main',
        endpoints: [textOf({ host, port })],
        maintenanceDatabase: 'postgres',
        acceptCluster: systemId,
        ...administrator,
      });
      const accepted = await fleet()
        .watch(0)
        .until(
          ({ relations }) =>
            relations.some(({ name, state }) => name === 'more' && state === 'active') &&
            relations.some(({ name, message }) => name === 'first' && message.includes('database "first" is gone')),
          15_000,
        );
      expect(mainIn(accepted)).toMatchObject({ state: 'active', servers: { systemId } });
      const more = await fleet().credentials('more');
      expect(await queryThrough(fleet(), 2, more, 'select 1 as one')).toEqual([{ one: 1 }]);
      expect(await inServer(stranger, "select 1 from pg_database where datname = 'first'")).toEqual([]);
    } finally {
      await stranger.stop();
    }
  });
});

const inServer = (server: Parameters<typeof asSuperuser>[0], sql: string) =>
  asSuperuser(server, async (client) => (await client.query<Record<string, unknown>>(sql)).rows);

/** Everything Troupe could have made in a cluster. */
const pictureOf = async (server: Parameters<typeof asSuperuser>[0]) => ({
  roles: await inServer(server, 'select rolname, rolcanlogin, rolpassword from pg_authid order by 1'),
  databases: await inServer(server, 'select datname, datacl::text, datallowconn from pg_database order by 1'),
});

/**
 * The packed charm through the life of an application, in pods, with a real PostgreSQL: what its clients see, step by step. The
 * tests are one life, in order.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Accountant } from '../support/accountant.ts';
import { issuer } from '../support/certificates.ts';
import { CharmGround, groundParts } from '../support/charm-ground/charm-ground.ts';
import { postgresServers, useServer } from '../support/servers.ts';

const parts = await groundParts();
const [postgres] = postgresServers();
const application = 'pgbouncer-k8s';
const clients = ['one', 'two', 'old'] as const;
/** Each hook of each unit takes its time. */
const size = process.env['TROUPE_TEST_LONG'] === '1' ? 3 : 2;

if (parts.kind === 'missing' || postgres === undefined) {
  const why = parts.kind === 'missing' ? parts.reason : 'there is no PostgreSQL here';
  it.skip(`the packed charm is not deployed: ${why}`, () => {});
} else {
  describe(`the packed charm with PgBouncer ${parts.version}`, { timeout: 480_000 }, () => {
    const server = useServer(() => postgres[1]('own'));
    let ground: CharmGround;
    beforeAll(async () => {
      ground = await CharmGround.open({ seed: 5, units: size, server: server(), parts });
      ground.relateBackend();
      ground.relateClient('one', 'client-v0', [{ database_name: 'orders' }]);
      ground.relateClient('two', 'client-v1', [{ resource: 'stock' }]);
      ground.relateClient('old', 'client-legacy', [{ database: 'ledger' }]);
      await settledWith(size);
    }, 480_000);
    afterAll(async () => {
      await ground[Symbol.asyncDispose]();
    });

    let isBroken = false;
    beforeEach(({ skip, onTestFailed }) => {
      skip(isBroken, 'an earlier test of this life failed');
      onTestFailed(() => {
        isBroken = true;
      });
    });

    /** Every unit is active, and every client logs in with what it was told. */
    const settledWith = async (units: number): Promise<void> => {
      await ground.settle();
      expect(ground.statuses).toEqual(Array.from({ length: units }, () => 'active'));
      await everybodyLogsIn();
    };
    const everybodyLogsIn = async (): Promise<void> => {
      for (const client of clients) {
        const [login] = await ground.logins(client);
        if (login === undefined) throw new Error(`${client} was not told how to log in`);
        expect(await ground.query(login, 'select current_database()')).toBe(login.database);
      }
    };
    const unit = (number: number): string => `${application}/${number}`;
    const numberOf = (name: string | null): number => Number(name?.split('/')[1]);
    const runningIn = async (): Promise<unknown> =>
      Promise.all(
        ground.units.map(async (name) => {
          const pod = ground.pod(name);
          const written = [...(await pod.files())].filter(([path]) => /\.ini$|userlist/.test(path));
          return { pids: await pod.pgbouncers(), written };
        }),
      );

    it('takes options while clients write, and tells clients of another port', async () => {
      await using writers = await Accountant.start(await ground.written('one'));
      ground.juju.configure(application, { pool_mode: 'transaction', default_pool_size: 7 });
      await settledWith(size);
      const { acknowledged, ...account } = await writers.close();
      expect(account).toEqual({ missing: [], doubled: [], breaks: [], refused: [] });
      expect(acknowledged).toBeGreaterThan(10);

      // At another port they are cut off, and come back where their charm is told to.
      await using movers = await Accountant.start(await ground.written('one'));
      ground.juju.configure(application, { listen_port: 6543 });
      await settledWith(size);
      await movers.untilWritten(20);
      const { missing, doubled } = await movers.close();
      expect({ missing, doubled }).toEqual({ missing: [], doubled: [] });
      for (const client of clients) expect((await ground.logins(client)).map(({ port }) => port)).toEqual(['6543']);
    });

    it('refuses an option that cannot be, and serves on as before', async () => {
      const before = await runningIn();
      ground.juju.configure(application, { pool_mode: 'sometimes' });
      await ground.settle();
      const leader = numberOf(ground.juju.leaderOf(application));
      expect(ground.statuses[leader]).toMatch(/^blocked: option pool_mode .* must be one of session, transaction/);
      await everybodyLogsIn();
      expect(await runningIn()).toEqual(before);
      ground.juju.configure(application, { pool_mode: 'session' });
      await settledWith(size);
    });

    it('leaves what runs untouched when PgBouncer refuses what comes next', async () => {
      const before = await runningIn();
      for (const name of ground.units) await ground.pod(name).replaceProgram('refuses');
      ground.juju.configure(application, { default_pool_size: 8 });
      await ground.settle();
      expect(ground.statuses.join('\n')).toMatch(/PgBouncer says: no such thing/);
      await everybodyLogsIn();
      expect(await runningIn()).toEqual(before);
      for (const name of ground.units) await ground.pod(name).replaceProgram('works');
      ground.juju.configure(application, { default_pool_size: 9 });
      await settledWith(size);
      expect(await runningIn()).not.toEqual(before);
    });

    it('serves on when its leader is lost', async () => {
      const lost = ground.juju.leaderOf(application) ?? '';
      const next = unit((numberOf(lost) + 1) % size);
      await using writers = await Accountant.start(await ground.written('one'));
      await ground.lose(lost);
      ground.juju.moveLeadership(application, next);
      ground.juju.configure(application, { default_pool_size: 9 });
      await ground.settle();
      await writers.untilWritten(20);
      await everybodyLogsIn();
      await ground.replace(lost);
      await settledWith(size);
      const { missing, doubled } = await writers.close();
      expect({ missing, doubled }).toEqual({ missing: [], doubled: [] });
    });

    it('serves again from a pod that was lost, and from a container that was', async () => {
      await ground.juju.churnPod(unit(1), 'cutOff');
      await settledWith(size);
      await ground.pod(unit(size - 1)).killWorkload();
      await ground.pod(unit(size - 1)).startWorkload();
      ground.juju.restartWorkload(unit(size - 1), 'pgbouncer');
      await settledWith(size);
      expect(await ground.pod(unit(size - 1)).pgbouncers()).not.toEqual([]);
    });

    it('is refreshed while clients write', async () => {
      const before = [...ground.pods.values()];
      const told = await Promise.all(clients.map((client) => ground.logins(client)));
      await using writers = await Accountant.start(await ground.written('one'));
      await ground.refresh();
      await settledWith(size);
      await writers.untilWritten(20);
      const { missing, doubled } = await writers.close();
      expect({ missing, doubled }).toEqual({ missing: [], doubled: [] });
      expect([...ground.pods.values()].some((pod) => before.includes(pod))).toBe(false);
      expect(await Promise.all(clients.map((client) => ground.logins(client)))).toEqual(told);
    });

    it('serves with certificates while it has them, and without afterwards', async () => {
      const [orders = -1] = ground.juju.relationsOf(application, 'database');
      const toldOfTls = () => ground.juju.secret(ground.juju.bag(orders, application)['secret-tls'] ?? '');
      const relation = ground.relateAuthority();
      await settledWith(size);
      expect(toldOfTls()).toMatchObject({ tls: 'True', 'tls-ca': expect.stringContaining(issuer.certificate.trim()) });
      for (const client of clients)
        for (const login of await ground.logins(client))
          expect(await ground.query({ ...login, authority: issuer.certificate }, 'select 1')).toBe('1');
      ground.juju.removeRelation(relation);
      await settledWith(size);
      expect(toldOfTls()?.['tls']).not.toBe('True');
      const [login] = await ground.logins('one');
      if (login === undefined) throw new Error('one was not told how to log in');
      const refused = ground.query({ ...login, authority: issuer.certificate }, 'select 1');
      await expect(refused).rejects.toThrow(/does not support SSL/);
    });

    it('drops a login once PostgreSQL is back, when the relation went while it was away', async () => {
      const relation = ground.relateClient('short', 'client-v0', [{ database_name: 'brief' }]);
      await settledWith(size);
      const [login] = await ground.logins('short');
      if (login === undefined) throw new Error('short was not told how to log in');
      expect(await ground.query(login, 'select 1')).toBe('1');
      expect(await ground.roles()).toContain(login.username);
      await server().kill();
      ground.juju.removeRelation(relation);
      await ground.settle();
      expect(ground.statuses.filter((status) => status !== 'active')).not.toEqual([]);
      await expect(ground.query(login, 'select 1')).rejects.toThrow();
      await server().startAgain();
      await settledWith(size);
      expect(await ground.roles()).not.toContain(login.username);
    });

    it('waits without a backend, and serves again with one', async () => {
      const [backend = -1] = ground.juju.relationsOf(application, 'backend-database');
      ground.juju.removeRelation(backend);
      await ground.settle();
      for (const status of ground.statuses) expect(status).not.toBe('active');
      ground.relateBackend();
      await settledWith(size);
    });

    it('leaves nothing when it is removed', async () => {
      ground.juju.removeApplication(application);
      await ground.settle();
      expect(ground.juju.applications.has(application)).toBe(false);
      expect(ground.pods.size).toBe(0);
      expect(ground.leftRunning).toEqual([]);
      expect(await ground.roles()).toEqual([]);
      expect(await ground.secretsSeen()).toEqual([]);
    });
  });
}

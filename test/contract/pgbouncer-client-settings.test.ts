import { Client } from 'pg';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { UserSpec } from '../../src/actors/model/fleet-spec.ts';
import type { Options } from '../../src/actors/model/intent.ts';
import { createCredentials } from '../../src/infra/credentials/credentials.ts';
import { freePort } from '../../src/infra/local/free-port.ts';
import { asSuperuser } from '../../src/infra/local/postgres.ts';
import { completeOptions } from '../../src/pgbouncer/catalogue.ts';
import { render } from '../../src/pgbouncer/render.ts';
import { isAtLeast } from '../../src/pgbouncer/version.ts';
import { configMismatches } from '../../src/pgbouncer/verify.ts';
import { specOf, unit, userOf } from '../support/builders.ts';
import { freshDatabase, postgresServers, useServer } from '../support/servers.ts';
import { openPlace, programs, startInstance, writeFiles } from './pgbouncer-process.ts';

type Settings = Partial<Pick<UserSpec, 'poolMode' | 'maxConnections' | 'timeouts'>>;

const binaries = await programs();

describe.each(postgresServers().slice(0, 1))('in front of PostgreSQL (%s)', (_, start) => {
  const postgres = useServer(start);

  describe.each(binaries)('PgBouncer $name', ({ run, reason, version }) => {
    /** An instance that serves two logins, and what it takes to give them other settings. */
    const serving = async (program: string, options: Options, first: Settings, second: Settings = {}) => {
      const { host, port } = postgres();
      const database = await freshDatabase(postgres());
      const accounts = await Promise.all(
        ['first', 'second'].map((name) => createCredentials().mint(`${name}_${database}`)),
      );
      await asSuperuser(postgres(), async (client) => {
        for (const { username, verifier } of accounts)
          await client.query(`create role ${username} login password '${verifier.reveal()}'`);
      });
      const place = await openPlace(await freePort(['127.0.0.1']));
      const write = async (...settings: readonly Settings[]) => {
        const files = render(
          specOf({
            options: completeOptions({ pool_mode: 'transaction', ...options, listen_port: place.port }),
            databases: [{ name: database, database, backend: 'main', host, port, maxConnections: 0, readOnly: false }],
            users: accounts.map(({ username, verifier }, index) => userOf(username, verifier, settings[index])),
            slots: [{ unit: unit(0), instances: 2 }],
          }),
          unit(0),
          place.layout,
          version,
          'troupe-7-0123456789ab',
        );
        await writeFiles(place, files);
        return files.instances[0]?.ini ?? '';
      };
      let ini = await write(first, second);
      const instance = await startInstance(program, place, 1);
      const connect = async (which: 0 | 1) => {
        const account = accounts[which];
        const client = new Client({
          host: '127.0.0.1',
          port: place.port,
          database,
          user: account?.username ?? '',
          password: account?.password.reveal() ?? '',
        });
        client.on('error', () => {}); // Those that PgBouncer cuts say so in the promise that is looked at.
        await client.connect();
        onTestFinished(() => client.end());
        return client;
      };
      const mismatches = async () =>
        configMismatches(ini, {
          config: await instance.rows('SHOW CONFIG'),
          databases: await instance.rows('SHOW DATABASES'),
          users: await instance.rows('SHOW USERS'),
        });
      const change = async (...settings: readonly Settings[]) => {
        ini = await write(...settings);
        await instance.rows('RELOAD');
      };
      return { connect, mismatches, change, instance };
    };

    const pidOf = async (client: Client): Promise<number> =>
      (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid ?? 0;

    it('gives a login its pool mode and its share of its budget, and takes both back', async ({ skip }) => {
      if (run === null) return skip(reason);
      // Of 3 connections the first of two instances has 2.
      const { connect, mismatches, change, instance } = await serving(
        run,
        {},
        { poolMode: 'session', maxConnections: 3 },
      );
      expect(await mismatches()).toEqual([]);
      const [one, two, three, other] = [await connect(0), await connect(0), await connect(0), await connect(1)];
      expect(new Set([await pidOf(one), await pidOf(two)]).size).toBe(2);
      const third = pidOf(three);
      await expect.poll(async () => waitingIn(await instance.rows('SHOW POOLS')), { timeout: 5_000 }).toBe(1);
      await pidOf(other);
      await change({}, {});
      expect(await mismatches()).toEqual([]);
      await expect(third).resolves.toBeGreaterThan(0);
    });

    it('cuts what a login has a time for, and nothing of others', async ({ skip }) => {
      if (run === null) return skip(reason);
      if (!isAtLeast(version, '1.24')) return skip('it has no timeouts for one login');
      const timeouts = { queryTimeout: 1, clientIdleTimeout: 1 };
      const { connect, change } = await serving(run, {}, { timeouts });
      const [slow, idle, otherIdle, otherSlow] = [
        await connect(0),
        await connect(0),
        await connect(1),
        await connect(1),
      ];
      const cut = Promise.withResolvers<Error>();
      idle.on('error', cut.resolve);
      await Promise.all([pidOf(idle), pidOf(otherIdle)]);
      await Promise.all([
        expect(slow.query('select pg_sleep(30)')).rejects.toThrow(/query timeout/),
        expect(otherSlow.query('select pg_sleep(2)')).resolves.toBeDefined(),
        expect(cut.promise).resolves.toMatchObject({ message: 'client_idle_timeout' }),
      ]);
      expect(await pidOf(otherIdle)).toBeGreaterThan(0);
      // Once one login had such a time, the process would cut every idle client that has none.
      await change({}, {});
      const later = await connect(0);
      await Promise.all([later, otherIdle].map((client) => client.query('select pg_sleep(0.1)')));
      await otherSlow.query('select pg_sleep(1.2)');
      for (const client of [later, otherIdle]) expect(await pidOf(client)).toBeGreaterThan(0);
    });

    it('lets a login be slow where others may not', async ({ skip }) => {
      if (run === null) return skip(reason);
      if (!isAtLeast(version, '1.24')) return skip('it has no timeouts for one login');
      const timeouts = { queryTimeout: 0, idleTransactionTimeout: 0 };
      const options = { query_timeout: 0.5, idle_transaction_timeout: 0.5 };
      const { connect } = await serving(run, options, { timeouts });
      const [slow, other] = [await connect(0), await connect(1)];
      await slow.query('begin');
      await Promise.all([
        expect(slow.query('select pg_sleep(1.5)')).resolves.toBeDefined(),
        expect(other.query('select pg_sleep(30)')).rejects.toThrow(/query timeout/),
      ]);
      await expect(slow.query('commit')).resolves.toBeDefined();
    });

    it('lets a login wait as long as it likes, or less than others', async ({ skip }) => {
      if (run === null) return skip(reason);
      if (!isAtLeast(version, '1.26')) return skip('it has no such time for one login');
      const limit = { poolMode: 'session', maxConnections: 2 } as const;
      const { connect } = await serving(
        run,
        { query_wait_timeout: 0 },
        { ...limit, timeouts: { queryWaitTimeout: 1 } },
        limit,
      );
      const [held, hurried] = [await connect(0), await connect(0)];
      const [kept, patient] = [await connect(1), await connect(1)];
      await Promise.all([pidOf(held), pidOf(kept)]);
      const waits = pidOf(patient);
      await expect(pidOf(hurried)).rejects.toThrow(/query_wait_timeout/);
      await kept.end();
      expect(await waits).toBeGreaterThan(0);
    });
  });
});

const waitingIn = (pools: readonly Readonly<Record<string, string | null>>[]): number =>
  pools.reduce((sum, row) => sum + Number(row['cl_waiting'] ?? 0), 0);

/**
 * Our side of the relations against charms on the libraries that clients and databases of Juju are written on, each hook a process of
 * theirs. What they say they were told is what counts, and that PostgreSQL lets them in with it.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../src/actors/model/secret.ts';
import type { Databag } from '../../src/actors/model/snapshot.ts';
import { asSuperuser } from '../../src/infra/local/postgres.ts';
import type { ClientRequest } from '../../src/infra/juju/wire/asked.ts';
import type { BackendReading } from '../../src/infra/juju/wire/backend.ts';
import { type CounterpartName, Counterparts, type Told } from '../support/juju/counterparts.ts';
import { counterpartsPython } from '../support/juju/counterparts-python.ts';
import { JujuModel } from '../support/juju/juju-model.ts';
import { wireProvider, wireRequirer } from '../support/juju/wire-charms.ts';
import { postgresServers, type RunningPostgres, useServer } from '../support/servers.ts';

const python = await counterpartsPython();
const where = python.run === null ? `: ${python.reason}` : '';

let records = '';
let counterparts: Counterparts;
beforeEach(async () => {
  records = await mkdtemp(join(tmpdir(), 'troupe-counterparts-'));
  counterparts = new Counterparts(python.run ?? '', records);
});
afterEach(() => rm(records, { recursive: true, force: true }));

/** Makes on PostgreSQL what is asked for: a database and its owner. */
class Maker {
  readonly #server: RunningPostgres;
  readonly #made = new Map<number, Databag>();
  readonly #names = new Map<string, string>();
  withReads = true;
  host: string;
  constructor(server: RunningPostgres) {
    this.#server = server;
    this.host = server.host;
  }

  /** A name of this test's own for what a client calls so. */
  name(word: string): string {
    const known = this.#names.get(word) ?? `${word}_${randomBytes(6).toString('hex')}`;
    this.#names.set(word, known);
    return known;
  }

  readonly serve = async ({ id, database }: ClientRequest): Promise<Databag> => {
    const known = this.#made.get(id);
    const endpoints = `${this.host}:${this.#server.port}`;
    const username = `${database}_${id}`;
    const password = `word-${id}`;
    if (known === undefined)
      await asSuperuser(this.#server, async (admin) => {
        const [role, name] = [admin.escapeIdentifier(username), admin.escapeIdentifier(database)];
        await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD ${admin.escapeLiteral(password)}`);
        await admin.query(`CREATE DATABASE ${name} OWNER ${role}`);
      });
    const uris = new Secret(`postgresql://${username}:${password}@${endpoints}/${database}`);
    const reads = this.withReads ? { 'read-only-endpoints': endpoints, 'read-only-uris': uris } : {};
    const databag = {
      database,
      endpoints,
      username,
      password: new Secret(password),
      tls: 'False',
      uris,
      ...reads,
      version: '16.9',
    };
    this.#made.set(id, databag);
    return databag;
  };

  async [Symbol.asyncDispose](): Promise<void> {
    await asSuperuser(this.#server, async (admin) => {
      for (const { database = '', username = '' } of this.#made.values()) {
        await admin.query(`DROP DATABASE ${admin.escapeIdentifier(String(database))}`);
        await admin.query(`DROP ROLE ${admin.escapeIdentifier(String(username))}`);
      }
    });
  }
}

/** Who PostgreSQL says that this is, and where. */
const loggedIn = async (uri: unknown): Promise<string> => {
  const client = new Client({ connectionString: String(uri) });
  await client.connect();
  try {
    const { rows } = await client.query<{ who: string }>(`SELECT current_user || '@' || current_database() AS who`);
    return rows[0]?.who ?? '';
  } finally {
    await client.end();
  }
};
const eventsOf = (told: readonly Told[]): readonly string[] => told.map(({ event }) => event);

/** Each hook starts a Python, and a test runs dozens of them. */
const patient = { timeout: 180_000 };

describe.skipIf(python.run === null)(`counterparts${where}`, patient, () => {
  describe.each(postgresServers().slice(0, 1))('on %s', (_, start) => {
    const server = useServer(start);

    const related = async (
      maker: Maker,
      name: CounterpartName,
      { endpoint = 'database', ...options }: { endpoint?: string; asks?: unknown; units?: number } = {},
    ) => {
      const juju = await JujuModel.open({ seed: 7 });
      const provider = wireProvider(maker.serve);
      juju.deploy('pgbouncer', provider.charm);
      juju.deploy('shop', counterparts.charm(name), counterparts.options(options));
      const relation = juju.integrate(`pgbouncer:${endpoint}`, `shop:${endpoint}`);
      await juju.settle();
      return { juju, relation, provider };
    };

    describe.each([
      [
        'client-v0',
        (database: string) => [{ database_name: database, extra_user_roles: 'CREATEDB' }],
        'DatabaseCreatedEvent',
      ],
      [
        'client-v1',
        (database: string) => [{ resource: database, extra_user_roles: 'CREATEDB' }],
        'ResourceCreatedEvent',
      ],
    ] as const)('%s', (name, asks, created) => {
      it('is told everything at once, in each unit, and logs in with it', async () => {
        await using maker = new Maker(server());
        const database = maker.name('orders');
        const { juju, relation } = await related(maker, name, { asks: asks(database), units: 2 });
        await using _model = juju;
        for (const unit of juju.unitsOf('shop')) {
          const told = await counterparts.told(unit);
          expect(eventsOf(told)).toEqual([created]);
          const [first] = told;
          expect(first).toMatchObject({
            endpoints: `${server().host}:${server().port}`,
            read_only_endpoints: `${server().host}:${server().port}`,
            version: '16.9',
            tls: name === 'client-v0' ? 'False' : false,
          });
          expect(await loggedIn(first?.['uris'])).toBe(`${String(first?.['username'])}@${database}`);
        }
        expect(JSON.stringify(juju.bag(relation, 'pgbouncer'))).not.toContain('word-');
      });

      it('hears of other endpoints, and of nothing that has not changed', async () => {
        await using maker = new Maker(server());
        const { juju } = await related(maker, name, { asks: asks(maker.name('orders')) });
        await using _model = juju;
        juju.updateStatus('pgbouncer');
        juju.updateStatus('shop');
        await juju.settle();
        expect(eventsOf(await counterparts.told('shop/0'))).toEqual([created]);
        maker.host = 'localhost';
        juju.updateStatus('pgbouncer');
        await juju.settle();
        const moved = (await counterparts.told('shop/0')).filter(({ event }) =>
          event.endsWith('EndpointsChangedEvent'),
        );
        expect(moved).toMatchObject([{ endpoints: `localhost:${server().port}` }]);
        expect(juju.history.filter(({ succeeded }) => !succeeded)).toEqual([]);
      });

      it('hears why it waits, when it asks for what is not served', async () => {
        await using maker = new Maker(server());
        const refused = asks(maker.name('orders')).map((one) => ({ ...one, extra_user_roles: 'SUPERUSER' }));
        const { juju, relation, provider } = await related(maker, name, { asks: refused });
        await using _model = juju;
        expect(provider.refusals.get(relation)).toMatchObject([{ code: 5001 }]);
        expect(JSON.parse(juju.bag(relation, 'pgbouncer')['status'] ?? '[]')).toMatchObject([{ code: 5001 }]);
        const told = await counterparts.told('shop/0');
        // The second library passes statuses on once there is an answer.
        expect(told.map(({ event, code }) => [event, code])).toEqual(
          name === 'client-v0' ? [['StatusRaisedEvent', 5001]] : [],
        );
      });
    });

    it('client-v1 has a login of its own for each of its requests', async () => {
      await using maker = new Maker(server());
      const databases = [maker.name('orders'), maker.name('stock')];
      const { juju } = await related(maker, 'client-v1', { asks: databases.map((resource) => ({ resource })) });
      await using _model = juju;
      const told = await counterparts.told('shop/0');
      expect(told.map(({ resource }) => resource)).toEqual(databases);
      const logins = await Promise.all(told.map(({ uris }) => loggedIn(uris)));
      expect(logins).toEqual(told.map(({ username, resource }) => `${String(username)}@${String(resource)}`));
      expect(new Set(logins).size).toBe(2);
    });

    it('client-v1 hears of a request that is refused beside one that is served, and not again once our data says so', async () => {
      await using maker = new Maker(server());
      const asks = [{ resource: maker.name('orders') }, { resource: 'stock', extra_user_roles: 'SUPERUSER' }];
      const { juju, relation } = await related(maker, 'client-v1', { asks });
      await using _model = juju;
      const raised = async () =>
        (await counterparts.told('shop/0')).filter(({ event, code }) => event === 'StatusRaisedEvent' && code === 5001);
      juju.updateStatus('pgbouncer');
      await juju.settle();
      expect(JSON.parse(juju.bag(relation, 'pgbouncer')['data'] ?? '{}')).toHaveProperty('status.5001');
      const { length } = await raised();
      expect(length).toBeGreaterThan(0);
      maker.withReads = false;
      juju.updateStatus('pgbouncer');
      await juju.settle();
      expect(await raised()).toHaveLength(length);
    });

    it('client-legacy takes itself for ready, in each unit, and logs in with what it was given', async () => {
      await using maker = new Maker(server());
      const database = maker.name('orders');
      const asks = [{ database, roles: ['writers', 'readers'] }];
      const { juju } = await related(maker, 'client-legacy', { endpoint: 'db', asks, units: 2 });
      await using _model = juju;
      for (const unit of juju.unitsOf('shop')) {
        const last = (await counterparts.told(unit)).findLast(({ event }) => event === 'DatabaseAvailableEvent');
        expect(last).toMatchObject({ database, standbys: [expect.stringContaining(`${database}_readonly`)] });
        expect(await loggedIn(last?.['master'])).toMatch(new RegExp(`@${database}$`));
      }
    });

    it('client-legacy that asks for extensions is not served, and our status says so', async () => {
      await using maker = new Maker(server());
      const asks = [{ database: maker.name('orders'), extensions: ['citext'] }];
      const { juju, relation, provider } = await related(maker, 'client-legacy', { endpoint: 'db', asks });
      await using _model = juju;
      expect(provider.refusals.get(relation)?.[0]?.reason).toContain('requested extensions, which are unsupported');
      expect(await counterparts.told('shop/0')).toEqual([]);
    });

    it.each(['backend-v0', 'backend-v1'] as const)(
      '%s understands our request, once, and we its answer',
      async (name) => {
        const { host, port, superuser } = server();
        const answers = {
          resource: 'postgres',
          username: superuser.username,
          password: superuser.password.reveal(),
          endpoints: `${host}:${port}`,
          read_only_endpoints: `${host}:${port}`,
          tls: true,
          tls_ca: 'CA',
          version: '16.9',
        };
        const readings: BackendReading[] = [];
        await using juju = await JujuModel.open({ seed: 7 });
        juju.deploy('pgbouncer', wireRequirer(readings));
        juju.deploy('postgresql', counterparts.charm(name), counterparts.options({ answers }));
        juju.integrate('pgbouncer:backend-database', 'postgresql:database');
        await juju.settle();
        for (const application of ['pgbouncer', 'postgresql']) juju.updateStatus(application);
        await juju.settle();
        expect(await counterparts.told('postgresql/0')).toMatchObject([{ resource: 'pgbouncer', roles: 'SUPERUSER' }]);
        const found = readings.at(-1);
        if (found?.kind !== 'found') throw new Error(`the backend is ${found?.kind}: ${found?.reason}`);
        const { backend } = found;
        expect(backend).toMatchObject({ endpoints: [`${host}:${port}`], tls: { enabled: true, ca: 'CA' } });
        const { username, password, maintenanceDatabase } = backend;
        const uri = `postgresql://${username}:${encodeURIComponent(password.reveal())}@${host}:${port}/${maintenanceDatabase}`;
        expect(await loggedIn(uri)).toBe(`${superuser.username}@postgres`);
      },
    );
  });
});

/** The charm with real PgBouncers under a Pebble for each unit, and a real PostgreSQL: clients log in with what their relation tells. */
import { Client } from 'pg';
import { describe, expect, it } from 'vitest';
import { createSystemClock } from '../../src/infra/clock/system-clock.ts';
import type { Application } from '../../src/actors/model/ids.ts';
import { openPostgres } from '../../src/infra/postgres/postgres.ts';
import { application, CharmFleet } from '../support/charm-fleet.ts';
import { pebbles } from '../support/pebble/pebbles.ts';
import { PebbleMachine } from '../support/pebble/pebble-machine.ts';
import { pgbouncerBinaries, postgresServers, useServer } from '../support/servers.ts';

const [small] = await pebbles();
const binaries = await pgbouncerBinaries();
const binary = binaries.findLast(({ run }) => run !== null);
const [postgres] = postgresServers();
const { start } = small ?? { start: null };
const { run, version } = binary ?? { run: null, version: '' };
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** What a client does with its answer. */
const queryAt = async (endpoint: string, answer: Readonly<Record<string, string>>, sql: string) => {
  const [host, port] = endpoint.split(':');
  const { username: user = '', password = '', database = '' } = answer;
  const client = new Client({
    host: host ?? '',
    port: Number(port),
    user,
    password,
    database,
    connectionTimeoutMillis: 5_000,
  });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
};

const place = start !== null && run !== null && postgres !== undefined ? { start, run, postgres } : null;
if (place === null) {
  it.skip('there is no PgBouncer or no PostgreSQL here', () => {});
} else {
  describe(`the charm with PgBouncer ${version} and a PostgreSQL`, () => {
    const server = useServer(() => place.postgres[1]('own'));

    it('serves clients of every unit through its life: options, leadership, units that come and go, pods, removal', async () => {
      await using machine = await PebbleMachine.open({ version, run: place.run }, place.start);
      const network = `127.77.${1 + (process.pid % 200)}`;
      const addressOf = (number: number): string => `${network}.${number + 1}`;
      const port = await machine.freePort([0, 1, 2, 3].map(addressOf));
      const { host, port: serverPort, superuser } = server();
      await using administration = openPostgres({
        application: application as Application,
        clock: createSystemClock(),
        log: silent,
      });
      await using fleet = await CharmFleet.open(1, 3, {
        real: {
          addressOf,
          postgres: administration,
          backend: { endpoints: `${host}:${serverPort}`, username: superuser.username, password: superuser.password },
          workloadOf: async (unit, number) =>
            (await machine.open({ name: unit.replace('/', '-'), listenAddress: addressOf(number), instances: 2 }))
              .workload,
        },
      });
      fleet.juju.configure(application, { listen_port: port });
      fleet.relateBackend();
      const orders = fleet.relateClient('orders');
      const legacy = fleet.relateLegacy('older', 'db', 'older');
      await fleet.settle();
      const statuses = () => fleet.juju.unitsOf(application).map((_, number) => fleet.status(number));
      expect(statuses()).toEqual(['active', 'active', 'active']);
      const answer = fleet.answerTo(orders);
      const served = async (units: number) => {
        const endpoints = (fleet.answerTo(orders)['endpoints'] ?? '').split(',');
        expect(endpoints.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(
          Array.from({ length: units }, (_, number) => `${addressOf(number)}:${port}`),
        );
        for (const endpoint of endpoints)
          expect(await queryAt(endpoint, answer, 'SELECT current_database() AS database')).toEqual([
            { database: 'orders' },
          ]);
      };
      await served(3);
      const older = fleet.juju.bag(legacy, application);
      const told = { username: older['user'] ?? '', password: older['password'] ?? '', database: 'older' };
      expect(await queryAt(`${addressOf(0)}:${port}`, told, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);

      fleet.juju.configure(application, { pool_mode: 'transaction' });
      fleet.juju.moveLeadership(application, fleet.unitName((fleet.leader() + 1) % 3));
      await fleet.settle();
      expect(statuses()).toEqual(['active', 'active', 'active']);
      await served(3);

      fleet.juju.scale(application, 4);
      await fleet.settle();
      await served(4);
      fleet.juju.scale(application, 2);
      await fleet.settle();
      expect(statuses()).toEqual(['active', 'active']);
      await served(2);

      await machine.startContainerAgain(fleet.unitName(1).replace('/', '-'));
      fleet.juju.restartWorkload(fleet.unitName(1), 'pgbouncer');
      await fleet.settle();
      expect(statuses()).toEqual(['active', 'active']);
      await served(2);

      fleet.juju.removeRelation(orders);
      await fleet.settle();
      await expect(queryAt(`${addressOf(0)}:${port}`, answer, 'SELECT 1')).rejects.toThrow();
      fleet.juju.removeApplication(application);
      await fleet.settle();
      const admin = { username: superuser.username, password: superuser.password.reveal(), database: 'postgres' };
      const left = await queryAt(
        `${host}:${serverPort}`,
        admin,
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'pgbouncer_k8s_%' AND rolcanlogin",
      );
      expect(left).toEqual([]);
    }, 300_000);
  });
}

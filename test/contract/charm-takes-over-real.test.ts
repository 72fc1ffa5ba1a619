/** A refresh from the charm before, with a real PostgreSQL as that left it and real PgBouncers: every client logs in with what it has. */
import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { describe, expect, it } from 'vitest';
import type { Application } from '../../src/actors/model/ids.ts';
import { createSystemClock } from '../../src/infra/clock/system-clock.ts';
import { asSuperuser } from '../../src/infra/local/postgres.ts';
import { openPostgres } from '../../src/infra/postgres/postgres.ts';
import { servedByAncestor } from '../support/ancestors-postgres.ts';
import { application, CharmFleet } from '../support/charm-fleet.ts';
import { ancestorCharm } from '../support/juju/ancestor.ts';
import { PebbleMachine } from '../support/pebble/pebble-machine.ts';
import { pebbles } from '../support/pebble/pebbles.ts';
import { pgbouncerBinaries, postgresServers, useServer } from '../support/servers.ts';

const [small] = await pebbles();
const binary = (await pgbouncerBinaries()).findLast(({ run }) => run !== null);
const [postgres] = postgresServers();
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

interface Given {
  readonly username: string;
  readonly password: string;
  readonly database: string;
}

if (
  small === undefined ||
  small.start === null ||
  binary === undefined ||
  binary.run === null ||
  postgres === undefined
) {
  it.skip('there is no PgBouncer or no PostgreSQL here', () => {});
} else {
  const { start } = small;
  const { run, version } = binary;
  describe(`a refresh with PgBouncer ${version} and a PostgreSQL`, () => {
    const server = useServer(() => postgres[1]('own'));

    it('leaves every client what it has, through PgBouncers that are ours', async () => {
      await using machine = await PebbleMachine.open({ version, run }, start);
      const network = `127.78.${1 + (process.pid % 200)}`;
      const addressOf = (number: number): string => `${network}.${number + 1}`;
      const port = await machine.freePort([0, 1].map(addressOf));
      const { host, port: serverPort, superuser } = server();
      await using administration = openPostgres({
        application: application as Application,
        clock: createSystemClock(),
        log: silent,
      });
      const backend = { endpoints: `${host}:${serverPort}`, ...superuser };
      await using fleet = await CharmFleet.open(1, 2, {
        before: ancestorCharm({ serve: (client) => servedByAncestor(server(), client), port, host: addressOf(0) }),
        real: {
          addressOf,
          postgres: administration,
          backend,
          workloadOf: async (unit, number) =>
            (await machine.open({ name: unit.replace('/', '-'), listenAddress: addressOf(number), instances: 2 }))
              .workload,
        },
      });
      fleet.juju.configure(application, { listen_port: port });
      fleet.relateBackend();
      const name = `orders_${randomBytes(4).toString('hex')}`;
      const relations = {
        secret: fleet.relateClient('secret', { database: name }),
        plain: fleet.relateClient('plain', { database: name, 'requested-secrets': '' }),
        root: fleet.relateClient('root', { database: name, 'extra-user-roles': 'SUPERUSER' }),
        legacy: fleet.relateLegacy('legacy', 'db', `${name}_old`),
        admin: fleet.relateLegacy('admin', 'db-admin', `${name}_old`),
      };
      await fleet.settle();
      const given = (): Record<keyof typeof relations, Given> => {
        const entries = Object.entries(relations).map(([client, id]) => {
          const { username, user, password, database } = fleet.answerTo(id);
          return [client, { username: username ?? user ?? '', password: password ?? '', database: database ?? '' }];
        });
        return Object.fromEntries(entries);
      };
      const before = given();
      const directly = (client: Given, sql: string) => query({ ...client, host, port: serverPort }, sql);
      await directly(before.secret, 'CREATE TABLE things AS SELECT 1 AS id');
      await directly(before.legacy, 'CREATE TABLE things AS SELECT 2 AS id');

      const leader = fleet.juju.leaderOf(application) ?? '';
      const follower = addressOf(leader === fleet.unitName(0) ? 1 : 0);
      fleet.juju.cutOff.add(leader);
      fleet.refresh();
      await fleet.settle();
      for (const client of [before.secret, before.root])
        expect(await query({ ...client, host: follower, port }, 'SELECT count(*)::int AS things FROM things')).toEqual([
          { things: 1 },
        ]);
      fleet.juju.cutOff.delete(leader);
      await fleet.settle();
      expect([fleet.status(0), fleet.status(1)]).toEqual(['active', 'active']);
      expect(given()).toEqual(before);
      const through = (client: Given, sql: string) => query({ ...client, host: addressOf(1), port }, sql);
      for (const client of Object.values(before))
        expect(
          await through(client, 'SELECT session_user::text AS login, current_database()::text AS database'),
        ).toEqual([{ login: client.username, database: client.database }]);
      expect(await through(before.secret, 'ALTER TABLE things ADD name text; TABLE things')).toEqual([
        { id: 1, name: null },
      ]);
      expect(await through(before.root, 'SELECT usesuper FROM pg_user WHERE usename = session_user')).toEqual([
        { usesuper: true },
      ]);
      const next = fleet.relateClient('next', { database: name });
      await fleet.settle();
      const { username = '', password = '', database = '' } = fleet.answerTo(next);
      expect(await through({ username, password, database }, 'SELECT id FROM things')).toEqual([{ id: 1 }]);

      for (const id of [relations.secret, relations.legacy]) fleet.juju.removeRelation(id);
      await fleet.settle();
      for (const gone of [before.secret, before.legacy]) {
        await expect(through(gone, 'SELECT 1')).rejects.toThrow();
        await expect(directly(gone, 'SELECT 1')).rejects.toThrow();
      }
      expect(await through(before.admin, 'SELECT id FROM things')).toEqual([{ id: 2 }]);
      expect(await through(before.root, 'SELECT id FROM things')).toEqual([{ id: 1 }]);
      const left = await asSuperuser(server(), async (client) =>
        client.query('SELECT rolname FROM pg_roles WHERE rolname = ANY($1)', [
          [before.secret.username, before.legacy.username],
        ]),
      );
      expect(left.rows).toEqual([]);
    }, 300_000);
  });
}

const query = async (
  { username: user, ...where }: Given & { readonly host: string; readonly port: number },
  sql: string,
): Promise<unknown> => {
  const client = new Client({ ...where, user, connectionTimeoutMillis: 5_000 });
  await client.connect();
  try {
    const answers = await client.query(sql);
    return (Array.isArray(answers) ? answers.at(-1) : answers).rows;
  } finally {
    await client.end();
  }
};

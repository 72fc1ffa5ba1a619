import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createCredentials } from '../../src/infra/credentials/credentials.ts';
import { freePort } from '../../src/infra/local/free-port.ts';
import { completeOptions } from '../../src/pgbouncer/catalogue.ts';
import { readDryRun } from '../../src/pgbouncer/dry-run.ts';
import { render } from '../../src/pgbouncer/render.ts';
import { specOf, unit, userOf } from '../support/builders.ts';
import { postgresServers, useServer } from '../support/servers.ts';
import { dryRun, openPlace, programs, startInstance, writeFiles } from './pgbouncer-process.ts';
import { asLogin, must, openScenario, rowsOf, type Scenario } from './postgres-scenario.ts';

const binaries = await programs();

/** Logins that a client makes by itself, through PgBouncer. */
describe.each(postgresServers())('in front of PostgreSQL (%s)', (_, start) => {
  const postgres = useServer(start);
  let scenario: Scenario;
  beforeAll(async () => {
    scenario = await openScenario(postgres(), 'superuser');
  });
  afterAll(() => scenario[Symbol.asyncDispose]());

  describe.each(binaries)('PgBouncer $name', ({ name: release, run, reason, version }) => {
    const suffix = release.replaceAll('.', '_');
    const serving = async (program: string, what: string) => {
      const { host, port } = postgres();
      const database = scenario.name(`${what}_${suffix}`);
      const client = await scenario.client({ database, extraUserRoles: ['createrole'] });
      const { username } = client.account;
      const lookup = await createCredentials().mint(`${username}_lookup`);
      must(await scenario.take({ type: 'ensureLookup', relation: client.relation, database, username, lookup }));
      const place = await openPlace(await freePort(['127.0.0.1']));
      const entry = { name: database, database, backend: 'main', host, port, maxConnections: 4, readOnly: false };
      const files = render(
        specOf({
          options: completeOptions({ pool_mode: 'transaction', listen_port: place.port }),
          databases: [
            { ...entry, lookup: lookup.username },
            { ...entry, name: `${database}_readonly`, readOnly: true, lookup: lookup.username },
            { ...entry, name: `${database}_without` },
          ],
          users: [
            userOf(username, client.account.verifier.reveal()),
            userOf(lookup.username, lookup.password.reveal()),
          ],
          slots: [{ unit: unit(0), instances: 2 }],
        }),
        unit(0),
        place.layout,
        version,
        'troupe-7-0123456789ab',
      );
      await writeFiles(place, files);
      const proven = await dryRun(program, place, files.instances[0]?.ini ?? '');
      expect(readDryRun(proven.code, proven.stderr)).toEqual({ kind: 'proven' });
      const instance = await startInstance(program, place, 1);
      const connect = async (user: string, password: string, to = database): Promise<Client> => {
        const connected = new Client({ host: '127.0.0.1', port: place.port, database: to, user, password });
        connected.on('error', () => {});
        await connected.connect();
        onTestFinished(() => connected.end());
        return connected;
      };
      const make = (...statements: readonly string[]) => asLogin(scenario, client.account, database, ...statements);
      return { client, database, instance, connect, make, role: `troupe_client_${database}` };
    };

    it('lets in a login that the client has made, at once and for as long as it likes', async ({ skip }) => {
      if (run === null) return skip(reason);
      const { client, connect, database, make, role } = await serving(run, 'made');
      const child = scenario.name(`child_${suffix}`);
      await make(`CREATE ROLE ${child} LOGIN PASSWORD 'p1' IN ROLE ${role}`);
      const who = 'SELECT session_user AS who';
      const connected = await connect(child, 'p1');
      expect((await connected.query(who)).rows).toEqual([{ who: child }]);
      expect((await (await connect(child, 'p1', `${database}_readonly`)).query(who)).rows).toEqual([{ who: child }]);
      expect(
        (await (await connect(client.account.username, client.account.password.reveal())).query(who)).rows,
      ).toEqual([{ who: client.account.username }]);
      // PgBouncer looks for idle clients three times a second.
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      expect((await connected.query(who)).rows).toEqual([{ who: child }]);
    });

    it('heeds another password at the next login', async ({ skip }) => {
      if (run === null) return skip(reason);
      const { connect, make, role } = await serving(run, 'changed');
      const child = scenario.name(`changed_${suffix}`);
      await make(`CREATE ROLE ${child} LOGIN PASSWORD 'p1' IN ROLE ${role}`);
      await connect(child, 'p1');
      await make(`ALTER ROLE ${child} PASSWORD 'p2'`);
      await expect(connect(child, 'p1')).rejects.toThrow(/authentication failed/);
      await connect(child, 'p2');
    });

    it('refuses who has expired, may do more than the client, or is none of its logins', async ({ skip }) => {
      if (run === null) return skip(reason);
      const { connect, database, make, role } = await serving(run, 'refused');
      const name = (what: string) => scenario.name(`${what}_${suffix}`);
      await make(
        `CREATE ROLE ${name('late')} LOGIN PASSWORD 'p' IN ROLE ${role}`,
        `CREATE ROLE ${name('closed')} LOGIN PASSWORD 'p' IN ROLE ${role}`,
      );
      await rowsOf(
        scenario,
        `CREATE ROLE ${name('super')} SUPERUSER LOGIN PASSWORD 'p' IN ROLE ${role}; CREATE ROLE ${name('alien')} LOGIN PASSWORD 'p'`,
      );
      await connect(name('late'), 'p');
      await connect(name('closed'), 'p');
      await make(`ALTER ROLE ${name('late')} VALID UNTIL '2020-01-01'`, `ALTER ROLE ${name('closed')} NOLOGIN`);
      for (const login of ['late', 'closed', 'super', 'alien'].map(name))
        await expect(connect(login, 'p'), login).rejects.toThrow(
          /authentication failed|no such user|bouncer config error/,
        );
      await make(`ALTER ROLE ${name('late')} VALID UNTIL 'infinity'`);
      await connect(name('late'), 'p');
      await expect(connect(name('late'), 'p', `${database}_without`)).rejects.toThrow(
        /authentication failed|no such user/,
      );
    });
  });
});

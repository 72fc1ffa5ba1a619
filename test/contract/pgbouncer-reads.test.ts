import { Client } from 'pg';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { DatabaseSpec } from '../../src/actors/model/fleet-spec.ts';
import type { PoolMode } from '../../src/actors/model/intent.ts';
import { createCredentials } from '../../src/infra/credentials/credentials.ts';
import { freePort } from '../../src/infra/local/free-port.ts';
import { asSuperuser } from '../../src/infra/local/postgres.ts';
import { completeOptions } from '../../src/pgbouncer/catalogue.ts';
import { render } from '../../src/pgbouncer/render.ts';
import { specOf, unit, userOf } from '../support/builders.ts';
import { freshDatabase, postgresServers, useServer } from '../support/servers.ts';
import { openPlace, programs, startInstance, writeFiles } from './pgbouncer-process.ts';

const binaries = await programs();

/** What an entry for reads does where it leads to a server that takes writes: a fallback, or a standby that was promoted. */
describe.each(postgresServers().slice(0, 1))('in front of PostgreSQL (%s)', (_, start) => {
  const postgres = useServer(start);

  describe.each(binaries)('PgBouncer $name', ({ run, reason, version }) => {
    const serving = async (program: string, poolMode: PoolMode) => {
      const { host, port } = postgres();
      const database = await freshDatabase(postgres());
      const account = await createCredentials().mint(`reader_${database}`);
      await asSuperuser(postgres(), (client) =>
        client.query(`create role ${account.username} superuser login password '${account.verifier.reveal()}'`),
      );
      const place = await openPlace(await freePort(['127.0.0.1']));
      const entry = { name: database, database, backend: 'main', host, port, maxConnections: 2, readOnly: false };
      const reads: DatabaseSpec = { ...entry, name: `${database}_readonly`, readOnly: true };
      const files = render(
        specOf({
          options: completeOptions({ pool_mode: poolMode, listen_port: place.port }),
          databases: [entry, reads],
          users: [userOf(account.username, account.verifier.reveal())],
          slots: [{ unit: unit(0), instances: 2 }],
        }),
        unit(0),
        place.layout,
        version,
        'troupe-7-0123456789ab',
      );
      await writeFiles(place, files);
      await startInstance(program, place, 1);
      return async (what: 'writes' | 'reads'): Promise<Client> => {
        const client = new Client({
          host: '127.0.0.1',
          port: place.port,
          database: what === 'reads' ? reads.name : entry.name,
          user: account.username,
          password: account.password.reveal(),
        });
        client.on('error', () => {});
        await client.connect();
        onTestFinished(() => client.end());
        return client;
      };
    };

    it.for(['transaction', 'statement'] as const)(
      'lets nobody write by accident in %s mode',
      async (mode, { skip }) => {
        if (run === null) return skip(reason);
        const connect = await serving(run, mode);
        await (await connect('writes')).query('create table t (v int)');
        for (let each = 0; each < 4; each += 1) {
          const reader = await connect('reads');
          expect((await reader.query('select count(*)::int as n from t')).rows).toEqual([{ n: 0 }]);
          await expect(reader.query('insert into t values (1)')).rejects.toThrow(/read-only transaction/);
        }
        await (await connect('writes')).query('insert into t values (2)');
      },
    );

    it('keeps the first client of a server connection from it in session mode', async ({ skip }) => {
      if (run === null) return skip(reason);
      const connect = await serving(run, 'session');
      await (await connect('writes')).query('create table t (v int)');
      await expect((await connect('reads')).query('insert into t values (1)')).rejects.toThrow(/read-only transaction/);
    });
  });
});

import { execFile } from 'node:child_process';
import { access, chown, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { findBinary, missingBinaries } from '../../src/infra/local/binaries.ts';
import { asSuperuser, type PostgresServer, startPostgres } from '../../src/infra/local/postgres.ts';
import { createOwnedDirectory } from '../../src/infra/local/service-user.ts';
import { testAccount, testDirectory } from '../support/servers.ts';
import { must, openScenario, rowsOf, type Scenario } from './postgres-scenario.ts';

const openssl = '/usr/bin/openssl';
const hasOpenssl = await access(openssl).then(
  () => true,
  () => false,
);
const missing = [
  ...missingBinaries(['initdb', 'postgres'], ''),
  ...(hasOpenssl ? [] : [`cannot find ${openssl}: it makes the certificate`]),
];
for (const sentence of missing) console.log(`PostgreSQL with TLS is not tested: ${sentence}`);

describe.runIf(missing.length === 0)('a server that offers TLS', () => {
  let server: PostgresServer;
  let scenario: Scenario;
  beforeAll(async () => {
    const account = testAccount();
    const directory = await testDirectory();
    await createOwnedDirectory(directory, account);
    const [key, certificate] = [join(directory, 'key.pem'), join(directory, 'certificate.pem')];
    const subject = ['-subj', '/CN=somebody-else', '-days', '2', '-nodes'];
    const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-keyout', key, '-out', certificate];
    await promisify(execFile)(openssl, ['req', ...kind, ...subject]);
    for (const file of [key, certificate]) await chown(file, account.uid, account.gid);
    const settings = { ssl: 'on', ssl_key_file: key, ssl_cert_file: certificate };
    const [initdb, postgres] = [findBinary('initdb', ''), findBinary('postgres', '')];
    server = await startPostgres({ initdb, postgres, directory, account, settings });
    await demandTls(server);
    scenario = await openScenario(server);
  });
  afterAll(async () => {
    await scenario[Symbol.asyncDispose]();
    await server.stop();
  });

  it('is talked to in TLS, by who looks and by who acts', async () => {
    const { postgres, access } = scenario;
    expect(await postgres.inspect(access, new AbortController().signal)).toMatchObject({ kind: 'ready' });
    must(await scenario.take({ type: 'raiseFence' }));
  });

  it('hears no more of a step that was called off', async () => {
    must(await scenario.take({ type: 'raiseFence' }));
    const step = { type: 'ensureDatabase', database: scenario.name('orders') } as const;
    await asSuperuser(
      server,
      async (client) => {
        await client.query('BEGIN');
        await client.query('LOCK TABLE troupe.fence');
        const began = performance.now();
        await expect(scenario.take(step, { signal: AbortSignal.timeout(300) })).rejects.toThrow('it was called off');
        expect(performance.now() - began).toBeLessThan(2_500); // It would wait for the lock for longer.
      },
      `troupe_${scenario.application}`,
    );
    must(await scenario.take(step));
  });
});

/** Nobody but the superuser gets in without TLS. */
const demandTls = async (server: PostgresServer): Promise<void> => {
  const rules = [
    'host all postgres 127.0.0.1/32 scram-sha-256',
    'hostnossl all all all reject',
    'hostssl all all 127.0.0.1/32 scram-sha-256',
  ];
  await writeFile(join(server.dataDirectory, 'pg_hba.conf'), `${rules.join('\n')}\n`);
  await rowsOf({ server }, 'SELECT pg_reload_conf()');
  await vi.waitFor(async () => {
    const [{ rules: found } = {}] = await rowsOf({ server }, 'SELECT count(*)::int AS rules FROM pg_hba_file_rules');
    expect(found).toBe(rules.length);
  });
};

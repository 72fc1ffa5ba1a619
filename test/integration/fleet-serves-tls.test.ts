import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { chown, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { certificateAt } from '../../src/infra/instances/handshake.ts';
import { spawnIds } from '../../src/infra/local/service-user.ts';
import { authority, first, otherAuthority, type Pair, second } from '../support/certificates.ts';
import { startLoad, unharmed } from '../support/fleet-load.ts';
import { program, unitCount, useFleet } from '../support/fleet-under-test.ts';
import { testAccount } from '../support/servers.ts';

/** Known before the fleet is, which is given the paths. */
const directory = join(tmpdir(), `troupe-test-tls-${process.pid}`);
const paths = {
  certificate: join(directory, 'tls.crt'),
  key: join(directory, 'tls.key'),
  authority: join(directory, 'ca.crt'),
};
const put = async (path: string, text: string): Promise<void> => {
  const { uid, gid } = spawnIds(testAccount());
  await writeFile(path, text, { mode: 0o600 });
  if (uid !== undefined && gid !== undefined) await chown(path, uid, gid);
};
/** The key last: for a moment they do not belong together, as with any operator. */
const putPair = async ({ certificate, key }: Pair): Promise<void> => {
  await put(paths.certificate, certificate);
  await put(paths.key, key);
};
beforeAll(async () => {
  await mkdir(directory, { recursive: true, mode: 0o755 });
  await put(paths.authority, authority);
  await putPair(first);
});
const fleet = useFleet({
  againMs: 6_000,
  environment: {
    TROUPE_TLS_CERTIFICATE_FILE: paths.certificate,
    TROUPE_TLS_KEY_FILE: paths.key,
    TROUPE_TLS_CA_FILE: paths.authority,
  },
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

const numbers = Array.from({ length: unitCount }, (_, number) => number);
/** As the first client, which trusts what it was told and insists on who the unit says it is. */
const psql = async (unit: number, trusted: string, sql: string): Promise<string> => {
  const trust = join(directory, `trust-${unit}.crt`);
  await writeFile(trust, trusted);
  const { database, username, password } = fleet().first;
  const { address } = fleet().unit(unit);
  const login = `host=localhost hostaddr=${address} port=${fleet().listenPort} dbname=${database} user=${username}`;
  const { stdout } = await promisify(execFile)(
    program('psql'),
    ['-XAtq', '-c', sql, `${login} sslmode=verify-full sslrootcert=${trust}`],
    { cwd: '/', env: { LANG: 'C.UTF-8', PGPASSWORD: password }, timeout: 20_000 },
  );
  return stdout.trim();
};
const shown = (): Promise<readonly (string | null)[]> =>
  Promise.all(
    numbers.map((unit) => certificateAt(fleet().unit(unit).address, fleet().listenPort, AbortSignal.timeout(5_000))),
  );
const everywhere = ({ certificate }: Pair) => numbers.map(() => new X509Certificate(certificate).fingerprint256);
const told = async (): Promise<string | null> => (await fleet().credentials(fleet().first.client)).tlsAuthorities;

it('a client is told whom to trust once every unit serves TLS, and logs in at each with verify-full', async () => {
  await fleet().everyoneActive();
  await expect.poll(told, { timeout: 20_000 }).toBe(authority);
  for (const unit of numbers)
    expect(await psql(unit, (await told()) ?? '', 'select session_user')).toBe(fleet().first.username);
  await expect(psql(0, otherAuthority, 'select 1')).rejects.toThrow('certificate verify failed');
});

it('a certificate that is renewed is shown by every unit, and no client notices', async () => {
  const before = fleet().instancePids(await fleet().everyoneActive());
  const generation = (await fleet().everyoneActive()).generation.published;
  await using load = await startLoad(fleet(), numbers);
  await putPair(second);
  await expect.poll(shown, { timeout: 20_000 }).toEqual(everywhere(second));
  const reports = await load.end();
  expect(reports).toEqual(unharmed(reports));
  const after = await fleet().everyoneActive();
  expect(fleet().instancePids(after)).toEqual(before);
  expect(after.generation.published).toBe(generation);
  expect(await told()).toBe(authority);
});

it('files that do not belong together are refused in a sentence, the ones before stay, and right ones are taken', async () => {
  await putPair({ ...first, key: second.key });
  const lacking = await fleet()
    .watch(0)
    .until(({ units }) =>
      units.every(({ status, waits }) => status === 'blocked' && waits.some(({ id }) => id === 'tls')),
    );
  expect(lacking.units[0]?.message).toBe(
    `pgbouncer/0 cannot use the certificate for its clients as it is: ${paths.key}: it is no private key in PEM, without a passphrase, that belongs to ${paths.certificate}; clients are served with the one before, or without TLS when there was none, until that is right`,
  );
  expect(await shown()).toEqual(everywhere(second));
  expect(await psql(1, authority, 'select 1')).toBe('1');
  await putPair(first);
  await fleet().everyoneActive();
  await expect.poll(shown, { timeout: 20_000 }).toEqual(everywhere(first));
});

it('a client without TLS is served all the same', async () => {
  const { database, username, password } = fleet().first;
  const login = `host=${fleet().unit(2).address} port=${fleet().listenPort} dbname=${database} user=${username}`;
  const { stdout } = await promisify(execFile)(
    program('psql'),
    ['-XAtq', '-c', 'select 2', `${login} sslmode=disable`],
    {
      cwd: '/',
      env: { LANG: 'C.UTF-8', PGPASSWORD: password },
    },
  );
  expect(stdout.trim()).toBe('2');
});

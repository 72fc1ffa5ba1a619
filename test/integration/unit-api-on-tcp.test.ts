import { execFile } from 'node:child_process';
import { chown, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { findBinary } from '../../src/infra/local/binaries.ts';
import { freePort } from '../../src/infra/local/free-port.ts';
import { spawnIds } from '../../src/infra/local/service-user.ts';
import { authority, first } from '../support/certificates.ts';
import { isServing, lacks, LoneUnit, main } from '../support/lone-unit.ts';
import { testAccount, testDirectory } from '../support/servers.ts';

const binary = findBinary('pgbouncer', process.env['PATH'] ?? '');
const tokens = { all: 'all-token-0123456789abcdefg', read: 'read-token-0123456789abcdef' };

/** Files of the unit belong to the account that it drops to: it reads them again when they change. */
const place = async () => {
  const directory = await testDirectory();
  const { uid, gid } = spawnIds(testAccount());
  const write = async (name: string, content: string): Promise<string> => {
    const path = join(directory, name);
    await writeFile(path, content, { mode: 0o600 });
    if (uid !== undefined && gid !== undefined) await chown(path, uid, gid);
    return path;
  };
  if (uid !== undefined && gid !== undefined) await chown(directory, uid, gid);
  return { directory, write };
};

it('a unit is operated over https, goes on with its old tokens when new ones are wrong, and ends when it is removed', async () => {
  const { write } = await place();
  const port = await freePort(['127.0.0.1']);
  await using unit = await LoneUnit.serving({
    binary,
    environment: {
      TROUPE_API: `127.0.0.1:${port}`,
      TROUPE_API_CERT_FILE: await write('certificate', first.certificate),
      TROUPE_API_KEY_FILE: await write('key', first.key),
      TROUPE_API_TOKEN_FILE: await write('tokens', `operate,secrets ${tokens.all}\nread ${tokens.read}\n`),
    },
  });
  const caFile = await write('authority', authority);
  const troupe = async (token: keyof typeof tokens, ...args: readonly string[]) => {
    const tokenFile = await write(`${token}-token`, tokens[token]);
    const env = {
      TROUPE_API: `https://localhost:${port}`,
      TROUPE_API_TOKEN_FILE: tokenFile,
      TROUPE_API_CA_FILE: caFile,
    };
    const ran = promisify(execFile)(process.execPath, [main, ...args], { env, timeout: 30_000 });
    return await ran.then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      ({ code, stdout, stderr }) => ({ code, stdout, stderr }),
    );
  };
  expect(await troupe('all', 'config', 'query_timeout=7')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('query_timeout: 0 (default) → 7'),
  });
  expect(await troupe('read', 'config', 'query_timeout')).toMatchObject({ code: 0, stdout: '7\n' });
  expect(await troupe('read', 'config', 'query_timeout=8')).toMatchObject({ code: 4, stdout: '' });

  await write('tokens', `everything ${tokens.all}\n`);
  await unit.until(lacks('api-tokens', /line 1 must begin with a scope/));
  expect(await troupe('all', 'status')).toMatchObject({ code: 0, stdout: expect.stringContaining('api-tokens') });
  await write('tokens', `operate ${tokens.all}\n`);
  await unit.until(isServing);
  expect(await troupe('read', 'status')).toMatchObject({
    code: 4,
    stderr: expect.stringContaining('not one that this unit knows'),
  });

  expect(await troupe('all', 'remove-unit', '0')).toMatchObject({
    code: 4,
    stderr: expect.stringContaining('the last unit that serves'),
  });
  expect(await troupe('all', 'remove-unit', '0', '--force')).toMatchObject({ code: 0 });
  const { code, said } = await unit.ended();
  expect(code).toBe(0);
  for (const token of Object.values(tokens)) expect(said).not.toContain(token);
}, 90_000);

it('a unit does not start with an API that everybody could use, or whose files are not right', async () => {
  const { write } = await place();
  const port = await freePort(['127.0.0.1']);
  const start = async (environment: Readonly<Record<string, string>>) => {
    const unit = await LoneUnit.open({ binary, environment });
    onTestFinished(() => unit[Symbol.asyncDispose]());
    return await unit.ended();
  };
  expect(await start({ TROUPE_API: `0.0.0.0:${port}` })).toMatchObject({
    code: 2,
    said: expect.stringMatching(
      /^troupe: TROUPE_API=0\.0\.0\.0: without TLS the API may listen on loopback only[^\n]+\n$/,
    ),
  });
  const tokenFile = await write('tokens', 'read short\n');
  expect(await start({ TROUPE_API: `127.0.0.1:${port}`, TROUPE_API_TOKEN_FILE: tokenFile })).toMatchObject({
    code: 1,
    said: expect.stringMatching(
      /troupe: cannot open the API at 127\.0\.0\.1:\d+: \/.*tokens: line 1: a token has 24 to 512 characters, this one 5; [^\n]+\n$/,
    ),
  });
}, 90_000);

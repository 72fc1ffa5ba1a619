import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { elsewhere, expired, authority, first, otherAuthority, type Pair } from '../../support/certificates.ts';
import { MemoryFleet } from '../../support/memory-fleet.ts';
import { serveTcp, temporaryDirectory, tokens } from '../api/harness.ts';
import { runIn } from './harness.ts';

/** A fleet that is asked over TCP alone. */
const away = async ({
  pair = first,
  scope = 'all',
}: {
  readonly pair?: Pair | null;
  readonly scope?: keyof typeof tokens;
} = {}) => {
  const fleet = new MemoryFleet();
  const server = await serveTcp(fleet.seenFrom(0), { pair });
  const port = Number(server.address?.split(':').at(-1));
  const directory = await temporaryDirectory();
  const [tokenFile, caFile] = [join(directory, 'token'), join(directory, 'ca.pem')];
  await writeFile(tokenFile, `${tokens[scope]}\n`, { mode: 0o600 });
  await writeFile(caFile, authority);
  const environment = {
    TROUPE_API: `${pair === null ? 'http' : 'https'}://localhost:${port}`,
    TROUPE_API_TOKEN_FILE: tokenFile,
    TROUPE_API_CA_FILE: caFile,
  };
  const run = (changes: Readonly<Record<string, string>>, ...argv: readonly string[]) =>
    runIn({ runDir: '/nowhere', environment: { ...environment, ...changes }, stdin: 'marker-password\n' }, ...argv);
  return { fleet, server, port, tokenFile, caFile, directory, run };
};

describe('over https', () => {
  it('every verb does what it does at a socket', async () => {
    const { fleet, run } = await away();
    const backend = [
      'integrate',
      'backend',
      'main',
      '--endpoints',
      'db1:5432',
      '--username',
      'a',
      '--password-file',
      '-',
    ];
    expect(await run({}, ...backend)).toMatchObject({ code: 0, stderr: '' });
    expect(await run({}, 'integrate', 'client', 'orders', '--database', 'orders')).toMatchObject({ code: 0 });
    expect((await run({}, 'dsn', 'orders')).stdout).toMatch(/^postgresql:\/\//);
    expect(await run({}, 'config', 'pool_mode=transaction')).toMatchObject({ code: 0 });
    expect((await run({}, 'config', 'pool_mode')).stdout).toBe('transaction\n');
    expect((await run({}, 'show-unit', '0', '--trace')).stdout).toContain('DECISION');
    expect(JSON.parse((await run({}, 'status', '--json')).stdout)).toEqual(fleet.status(0));
    expect(await run({}, 'remove-relation', 'orders')).toMatchObject({ code: 0 });
    expect(fleet.intent?.options).toEqual({ pool_mode: 'transaction' });
  });

  it('and over http on this machine itself, at the path that the URL has', async () => {
    const { run, port } = await away({ pair: null });
    expect(await run({}, 'status')).toMatchObject({ code: 0 });
    expect(await run({ TROUPE_API: `http://127.0.0.1:${port}/` }, 'status')).toMatchObject({ code: 0 });
    expect(await run({ TROUPE_API: `http://127.0.0.1:${port}/troupe` }, 'status')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('there is nothing at this path'),
    });
  });

  it('another unit than the one asked has its decisions for itself, and the sentence says how to get them', async () => {
    const { run } = await away();
    expect(await run({}, 'show-unit', '1')).toMatchObject({ code: 0 });
    expect(await run({}, 'show-unit', '1', '--trace')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('ask it itself, with --api and its own address'),
    });
  });
});

describe('a client is integrated by whoever may change the fleet', () => {
  it('and may not read passwords', async () => {
    const { fleet, run } = await away({ scope: 'operate' });
    const backend = [
      'integrate',
      'backend',
      'main',
      '--endpoints',
      'db1:5432',
      '--username',
      'a',
      '--password-file',
      '-',
    ];
    await run({}, ...backend);
    const { code, stdout, stderr } = await run({}, 'integrate', 'client', 'orders', '--database', 'orders');
    expect([code, stdout]).toEqual([
      0,
      'client orders has database orders; its credentials take a token with scope secrets\n',
    ]);
    expect(stderr).not.toContain('forbidden');
    expect(fleet.intent?.clients['orders']).toBeDefined();
    expect(await run({}, 'dsn', 'orders')).toMatchObject({
      code: 4,
      stdout: '',
      stderr: expect.stringMatching(/scope operate, and this needs secrets/),
    });
  });
});

describe('what is wrong is said in one sentence, with a code', () => {
  const saying = async (ran: Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>) => {
    const { code, stdout, stderr } = await ran;
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^troupe: [^\n]{20,400}\n$/);
    for (const token of Object.values(tokens)) expect(stderr).not.toContain(token);
    return `${code} ${stderr}`;
  };

  it('4: no token, a wrong one, one that may not', async () => {
    const { run, tokenFile, fleet } = await away({ scope: 'read' });
    expect(await saying(run({}, 'config', 'pool_mode=session'))).toMatch(/^4 .* scope read, and this needs operate/);
    expect(await saying(run({ TROUPE_API_TOKEN_FILE: '' }, 'status'))).toMatch(
      /^4 .* a token is needed here: .*TROUPE_API_TOKEN_FILE/,
    );
    await writeFile(tokenFile, 'operate another-token-0123456789abcdef\n');
    expect(await saying(run({}, 'status'))).toMatch(/^4 .* the token is not one that this unit knows/);
    expect(fleet.intent).toBe(null);
  });

  it('3: a certificate of a stranger, of another name, or too old; and a place where nobody speaks TLS', async () => {
    const { run, caFile } = await away();
    await writeFile(caFile, otherAuthority);
    expect(await saying(run({}, 'status'))).toMatch(
      /^3 .* not signed by an authority that is known here: .*TROUPE_API_CA_FILE/,
    );
    expect(await saying(run({ TROUPE_API_CA_FILE: '' }, 'status'))).toMatch(
      /^3 .* not signed by an authority that is known here/,
    );
    expect(await saying((await away({ pair: elsewhere })).run({}, 'status'))).toMatch(
      /^3 .* its certificate is for other names/,
    );
    expect(await saying((await away({ pair: expired })).run({}, 'status'))).toMatch(
      /^3 .* its certificate has expired/,
    );
    const open = await away({ pair: null });
    expect(await saying(open.run({ TROUPE_API: `https://localhost:${open.port}` }, 'status'))).toMatch(
      /^3 .* it does not speak TLS there/,
    );
    const closed = await away();
    expect(await saying(closed.run({ TROUPE_API: `http://localhost:${closed.port}` }, 'status'))).toMatch(/^3 .*: /);
  });

  it('3: nobody there, no such host, no HTTP', async () => {
    const { run, port, server } = await away();
    await server[Symbol.asyncDispose]();
    expect(await saying(run({}, 'status'))).toContain(
      `the unit does not answer: https://localhost:${port}: nobody listens there`,
    );
    expect(await saying(run({ TROUPE_API: 'https://nobody.invalid' }, 'status'))).toMatch(
      /^3 .* (no such host|could not be looked up)/,
    );
    const mail = createServer((connection) => connection.end('220 mail.example ESMTP\r\n')).listen(0, '127.0.0.1');
    await once(mail, 'listening');
    onTestFinished(() => void mail.close());
    const address = mail.address();
    const at = typeof address === 'object' && address !== null ? address.port : 0;
    expect(await saying(run({ TROUPE_API: `http://127.0.0.1:${at}` }, 'status'))).toMatch(/^3 .* does not speak HTTP/);
  });

  it('2: files that cannot be used', async () => {
    const { run, directory } = await away();
    const file = async (name: string, content: string, mode = 0o600) => {
      await writeFile(join(directory, name), content, { mode });
      return join(directory, name);
    };
    const withToken = async (path: string) => saying(run({ TROUPE_API_TOKEN_FILE: path }, 'status'));
    expect(await withToken('/nowhere/token')).toMatch(
      /^2 troupe: TROUPE_API_TOKEN_FILE: \/nowhere\/token: there is no such file/,
    );
    expect(await withToken(await file('open', tokens.all, 0o644))).toMatch(/^2 .*everybody may read it/);
    expect(await withToken(await file('two', `${tokens.read}\n${tokens.all}\n`))).toMatch(/^2 .*it holds 2 lines/);
    expect(await withToken(await file('none', '\n'))).toMatch(/^2 .*it holds no token/);
    expect(await saying(run({ TROUPE_API_CA_FILE: await file('ca', 'nonsense') }, 'status'))).toMatch(
      /^2 .*no certificate in PEM/,
    );
  });
});

it('an environment that is for a unit is left to it: its socket is asked, as are others without TROUPE_API', async () => {
  const runDir = await temporaryDirectory();
  const environment = { TROUPE_API: '0.0.0.0:8443', TROUPE_API_TOKEN_FILE: '/nowhere' };
  expect(await runIn({ runDir, environment }, 'status')).toMatchObject({
    code: 3,
    stderr: expect.stringContaining(`there is no unit in ${runDir}`),
  });
});

it('a token that is changed is used as soon as a unit is looked for again', async () => {
  const { run, tokenFile, server } = await away({ scope: 'read' });
  const fresh = 'fresh-token-0123456789abcdef';
  await server.write('token', `read ${fresh}\n`);
  await writeFile(tokenFile, `read ${fresh}\n`);
  await expect.poll(async () => (await run({}, 'status')).code).toBe(0);
});

import { chmod, rename, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { connect } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { errorSchema } from '../../../src/api/errors.ts';
import { operations, pathOf } from '../../../src/api/routes.ts';
import { scopes, type Scope } from '../../../src/api/scope.ts';
import { openApi } from '../../../src/infra/http/server.ts';
import { authority, expired, first, second } from '../../support/certificates.ts';
import { MemoryFleet } from '../../support/memory-fleet.ts';
import { ask, type At, bearing, serveTcp, temporaryDirectory, tokens } from './harness.ts';

const codeOf = (json: unknown): string => errorSchema.parse(json).error.code;

/** Every way in, streams left out: they answer as long as one listens. */
const doors = operations.flatMap(([operation, route]) => {
  const path = pathOf(operation, { name: 'orders', number: 0 });
  const methods = route.probe
    ? ['GET', 'HEAD', 'OPTIONS']
    : route.method === 'get'
      ? ['GET', 'HEAD']
      : [route.method.toUpperCase()];
  return operation === 'events' ? [] : methods.map((method) => ({ method, path, route }));
});

describe('over TCP', () => {
  it('probes are answered to everybody, everything else to whoever has a token, whatever the method', async () => {
    const fleet = new MemoryFleet();
    const { at } = await serveTcp(fleet.seenFrom(0));
    for (const { method, path, route } of [
      ...doors,
      { method: 'GET', path: '/nowhere', route: null },
      { method: 'TRACE', path: '/v1/status', route: null },
    ]) {
      const { status, headers, json } = await ask(at, method, path);
      if (route?.probe) expect([path, [200, 503].includes(status)]).toEqual([path, true]);
      else {
        expect([method, path, status]).toEqual([method, path, 401]);
        expect(headers['www-authenticate']).toBe('Bearer realm="troupe"');
        if (method !== 'HEAD') expect(codeOf(json)).toBe('unauthorized');
      }
    }
    const events = await ask(at, 'GET', '/v1/events');
    expect([events.status, fleet.watchers]).toEqual([401, 0]);
    expect([fleet.asked, fleet.intent]).toEqual([[], null]);
  });

  it.each<[Scope | 'all', readonly Scope[]]>([
    ['read', ['read']],
    ['operate', ['read', 'operate']],
    ['secrets', ['read', 'secrets']],
    ['all', ['read', 'operate', 'secrets']],
  ])('a token with %s may do what needs %s, and nothing else', async (held, allowed) => {
    const fleet = new MemoryFleet();
    const { at } = await serveTcp(fleet.seenFrom(0));
    const needed = doors.filter(({ route }) => route.scope !== null);
    expect(new Set(needed.map(({ route }) => route.scope))).toEqual(new Set(scopes));
    for (const { method, path, route } of needed) {
      const { status, headers } = await ask(at, method, path, undefined, bearing(tokens[held]));
      const mayPass = allowed.some((scope) => scope === route.scope);
      expect([method, path, ![401, 403].includes(status)]).toEqual([method, path, mayPass]);
      if (!mayPass) expect(headers['www-authenticate']).toContain(`error="insufficient_scope", scope="${route.scope}"`);
    }
    expect(fleet.intent === null).toBe(!allowed.includes('operate'));
  });

  it.each([
    ['another token', 'Bearer another-token-0123456789abcdef'],
    ['the beginning of one', `Bearer ${tokens.all.slice(0, -1)}`],
    ['one with more behind it', `Bearer ${tokens.all}x`],
    ['two', `Bearer ${tokens.all} ${tokens.read}`],
    ['the line of the file', `Bearer operate,secrets ${tokens.all}`],
    ['none', 'Bearer '],
    ['another scheme', `Basic ${Buffer.from(`u:${tokens.all}`).toString('base64')}`],
    ['a token without scheme', tokens.all],
    ['a huge one', `Bearer ${'x'.repeat(10_000)}`],
  ])('%s is refused and never logged', async (_, authorization) => {
    const { at, lines } = await serveTcp(new MemoryFleet().seenFrom(0));
    const { status, headers, text } = await ask(at, 'GET', '/v1/status', undefined, { authorization });
    expect([status, headers['www-authenticate']]).toEqual([401, 'Bearer realm="troupe", error="invalid_token"']);
    expect(lines.filter(({ message }) => message === 'a token was refused')).toMatchObject([
      { level: 'warn', fields: { requests: 1 } },
    ]);
    for (const said of [text, JSON.stringify(lines)])
      for (const token of Object.values(tokens)) expect(said).not.toContain(token.slice(0, 20));
  });

  it('somebody who tries tokens does not fill the log', async () => {
    const { at, lines } = await serveTcp(new MemoryFleet().seenFrom(0));
    for (let i = 0; i < 20; i++) await ask(at, 'GET', '/v1/status', undefined, bearing(`guess-${i}`));
    expect(lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
  });

  it('a change is refused before its body is read', async () => {
    const { at } = await serveTcp(new MemoryFleet().seenFrom(0));
    const { status } = await ask(at, 'PATCH', '/v1/config', '{"options":', {
      'content-type': 'application/json',
      ...bearing(tokens.read),
    });
    expect(status).toBe(403);
  });

  it('without a token file probes alone are answered, and the answer says so', async () => {
    const { at } = await serveTcp(new MemoryFleet().seenFrom(0), { text: null });
    expect((await ask(at, 'GET', '/liveness')).status).toBe(200);
    const { status, json } = await ask(at, 'GET', '/metrics', undefined, bearing(tokens.all));
    expect([status, errorSchema.parse(json).error.message]).toEqual([
      401,
      expect.stringContaining('TROUPE_API_TOKEN_FILE'),
    ]);
  });

  it('the socket beside it still trusts whoever may open it', async () => {
    const { socket } = await serveTcp(new MemoryFleet().seenFrom(0), { pair: first });
    expect((await ask(socket, 'PATCH', '/v1/config', { options: { pool_mode: 'session' } })).status).toBe(200);
  });
});

describe('tokens that change', () => {
  const status = async (at: At, token: string) =>
    (await ask(at, 'GET', '/v1/status', undefined, bearing(token))).status;

  it('are taken without a restart: the new one works, the old one no longer', async () => {
    const { at, write, troubles } = await serveTcp(new MemoryFleet().seenFrom(0));
    const fresh = 'fresh-token-0123456789abcdef';
    await write('token', `read ${fresh}\n`);
    await expect.poll(() => status(at, fresh)).toBe(200);
    expect(await status(at, tokens.read)).toBe(401);
    expect(troubles.flat()).toEqual([]);
  });

  it('and cannot be used leave the old ones in use, and say which line is wrong and not what it holds', async () => {
    const { at, write, troubles, lines } = await serveTcp(new MemoryFleet().seenFrom(0));
    const broken = 'broken-token-0123456789abcdef';
    await write('token', `read ${tokens.read}\nadmin ${broken}\n`);
    await expect
      .poll(() => troubles.at(-1))
      .toMatchObject([
        {
          file: 'tokens',
          reason: expect.stringContaining('line 2 must begin with a scope'),
        },
      ]);
    expect([await status(at, tokens.read), await status(at, tokens.operate), await status(at, broken)]).toEqual([
      200, 200, 401,
    ]);
    expect(JSON.stringify([troubles, lines])).not.toContain(broken);
    await write('token', `read ${tokens.read}\n`);
    await expect.poll(() => troubles.at(-1)).toEqual([]);
    expect(await status(at, tokens.operate)).toBe(401);
  });

  it('are not taken from a file that everybody may read, or that is gone', async () => {
    const { at, files, troubles } = await serveTcp(new MemoryFleet().seenFrom(0));
    await chmod(files.token, 0o644);
    await expect.poll(() => troubles.at(-1)?.[0]?.reason).toContain('everybody may read it');
    await rename(files.token, `${files.token}.away`);
    await expect.poll(() => troubles.at(-1)?.[0]?.reason).toContain('there is no such file');
    expect(await status(at, tokens.read)).toBe(200);
  });
});

describe('over TLS', () => {
  const names = async (at: At): Promise<string> => {
    if (typeof at === 'string') throw new Error('no TCP');
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const connection = connect({ ...at, ca: authority, servername: 'localhost' }, () => {
      resolve(String(connection.getPeerCertificate().subject.CN));
      connection.destroy();
    });
    connection.on('error', reject);
    return await promise;
  };

  it('the API is the same, and speaks no older TLS than 1.2', async () => {
    const { at } = await serveTcp(new MemoryFleet().seenFrom(0), { pair: first });
    expect((await ask(at, 'GET', '/v1/status', undefined, bearing(tokens.read))).status).toBe(200);
    if (typeof at === 'string') throw new Error('no TCP');
    const { promise, resolve } = Promise.withResolvers<string>();
    const old = connect({
      ...at,
      ca: authority,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    old.on('secureConnect', () => resolve('connected'));
    old.on('error', ({ message }) => resolve(message));
    expect(await promise).toMatch(/protocol version|alert/);
    expect((await ask(at, 'GET', '/liveness')).status).toBe(200);
  });

  it('a new certificate is taken without a restart', async () => {
    const { at, write } = await serveTcp(new MemoryFleet().seenFrom(0), { pair: first });
    expect(await names(at)).toBe('first');
    await write('key', second.key);
    await write('certificate', second.certificate);
    await expect.poll(() => names(at)).toBe('second');
  });

  it('a certificate that cannot be used leaves the old one in use, and says so', async () => {
    const { at, write, troubles } = await serveTcp(new MemoryFleet().seenFrom(0), { pair: first });
    await write('certificate', second.certificate);
    await expect
      .poll(() => troubles.at(-1))
      .toMatchObject([{ file: 'certificate', reason: expect.stringContaining('belongs to') }]);
    await write('certificate', 'nonsense');
    await expect
      .poll(() => troubles.at(-1))
      .toMatchObject([{ reason: expect.stringContaining('no certificate in PEM') }]);
    expect(await names(at)).toBe('first');
    await write('certificate', first.certificate);
    await expect.poll(() => troubles.at(-1)).toEqual([]);
  });

  it('what is no handshake harms nobody', async () => {
    const { at, lines } = await serveTcp(new MemoryFleet().seenFrom(0), { pair: first });
    if (typeof at === 'string') throw new Error('no TCP');
    for (const bytes of ['GET /liveness HTTP/1.1\r\nhost: x\r\n\r\n', '\0'.repeat(1_000), '\u0016\u0003\u0001']) {
      const connection = createConnection(at.port, at.host);
      connection.on('error', () => {});
      connection.end(bytes);
    }
    expect((await ask(at, 'GET', '/liveness')).status).toBe(200);
    expect(lines.filter(({ level }) => level === 'error')).toEqual([]);
  });
});

it('whoever is connected and says nothing does not keep a unit from ending', async () => {
  const server = await serveTcp(new MemoryFleet().seenFrom(0), { pair: first });
  if (typeof server.at === 'string') throw new Error('no TCP');
  const connection = createConnection(server.at.port, server.at.host);
  await once(connection, 'connect');
  await ask(server.at, 'GET', '/liveness'); // So the one before it has been accepted.
  const closed = once(connection, 'close');
  await server[Symbol.asyncDispose]();
  await closed;
});

describe('a start is refused with one sentence', () => {
  const open = async (changes: Partial<NonNullable<Parameters<typeof openApi>[0]['tcp']>>): Promise<string> => {
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    const socket = `${await temporaryDirectory()}/pgbouncer-0.sock`;
    const tcp = { host: '127.0.0.1', port: 0, tls: null, tokenFile: null, onTroubles: () => {}, ...changes };
    const opened = await openApi({ fleet: new MemoryFleet().seenFrom(0), socket, tcp, log, version: '0' }).catch(
      (cause: unknown) => cause,
    );
    if (opened instanceof Error) return opened.message;
    throw new Error('it was opened');
  };
  const fileWith = async (content: string | Buffer, mode = 0o600): Promise<string> => {
    const path = `${await temporaryDirectory()}/file`;
    await writeFile(path, content, { mode });
    return path;
  };

  it('at an address that is taken, or not ours', async () => {
    const { at } = await serveTcp(new MemoryFleet().seenFrom(0));
    if (typeof at === 'string') throw new Error('no TCP');
    expect(await open({ port: at.port })).toBe(
      `cannot open the API at 127.0.0.1:${at.port}: another process listens there: choose another port`,
    );
    expect(await open({ host: '192.0.2.1' })).toBe(
      'cannot open the API at 192.0.2.1:0: this machine has no such address',
    );
  });

  it.each([
    ['empty', '\n# nobody\n', 'it holds no token'],
    ['without scopes', 'a-token-0123456789abcdefghij\n', 'line 1 must be a scope and a token'],
    ['of three words', 'read a-token-0123456789abcdefghij more\n', 'line 1 must be a scope and a token'],
    [
      'with an unknown scope',
      'write a-token-0123456789abcdefghij\n',
      'line 1 must begin with a scope: read, operate, secrets',
    ],
    ['with a short token', 'read 0123456789abcdef0123456\n', 'a token has 24 to 512 characters, this one 23'],
    ['with a strange token', `read ${'ü'.repeat(24)}\n`, 'a token has letters, digits'],
    [
      'with a token twice',
      `read ${tokens.read}\noperate ${tokens.read}\n`,
      'line 2 has a token that an earlier line has',
    ],
    ['in another encoding', Buffer.from([0xff, 0xfe, 0x00]), 'it is not UTF-8'],
  ])('with a token file %s', async (_, content, says) => {
    const said = await open({ tokenFile: await fileWith(content) });
    expect(said).toContain(says);
    expect(said).toMatch(/^cannot open the API at 127\.0\.0\.1:0: \/[^\n]+$/);
    expect(said).not.toContain('a-token');
  });

  it('with a token file or key that everybody may read, or that is no file', async () => {
    expect(await open({ tokenFile: await fileWith(`read ${tokens.read}`, 0o644) })).toContain(
      'everybody may read it: close it with "chmod o= /',
    );
    const [certificate, key] = [await fileWith(first.certificate, 0o644), await fileWith(first.key, 0o644)];
    expect(await open({ tls: { certificate, key } })).toContain(`${key}: everybody may read it`);
    expect(await open({ tokenFile: await temporaryDirectory() })).toContain('it is a directory');
  });

  it('with a key of another certificate, and not with one that has expired: that one its users see', async () => {
    const key = await fileWith(second.key);
    expect(await open({ tls: { certificate: await fileWith(first.certificate), key } })).toContain(
      `${key}: it is no private key`,
    );
    const { at } = await serveTcp(new MemoryFleet().seenFrom(0), { pair: expired });
    await expect(ask(at, 'GET', '/liveness')).rejects.toMatchObject({ code: 'CERT_HAS_EXPIRED' });
  });
});

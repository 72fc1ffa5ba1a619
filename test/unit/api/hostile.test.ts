import { createConnection, type Socket } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { errorSchema } from '../../../src/api/errors.ts';
import { MemoryFleet } from '../../support/memory-fleet.ts';
import { type Answer, ask, askRaw, type At, bearing, serve, serveTcp, tokens } from './harness.ts';

/** The same on both ways in: whoever passed the door is not trusted further on. */
const doors = [
  ['on the socket', async (fleet: MemoryFleet) => (await serve(fleet.seenFrom(0))).socket],
  ['on TCP', async (fleet: MemoryFleet) => (await serveTcp(fleet.seenFrom(0))).at],
] as const;

const auth = bearing(tokens.all);
const json = { ...auth, 'content-type': 'application/json' };
const head = `authorization: ${auth['authorization']}\r\n`;

describe.each(doors)('%s', (_, open) => {
  const opened = async () => {
    const fleet = new MemoryFleet({ held: true });
    const at = await open(fleet);
    const refused = async (
      { status, text, headers }: Pick<Answer, 'status' | 'text' | 'headers'>,
      expected: number,
    ) => {
      expect([status, text.slice(0, 200)]).toEqual([expected, expect.stringContaining('"error"')]);
      expect(headers['content-type']).toBe('application/json; charset=utf-8');
      const { error } = errorSchema.parse(JSON.parse(text));
      expect(error.message).toMatch(/^[^\n]{10,3000}$/);
      expect(text).not.toMatch(/ {2}at |node_modules|\.ts\b|Error:/);
      expect(fleet.intent).toBe(null);
      expect((await ask(at, 'GET', '/liveness')).status).toBe(200);
    };
    return { fleet, at, refused };
  };

  it.each<[string, string | Uint8Array]>([
    ['a key twice', '{"options":{"pool_mode":"session","pool_mode":"transaction"}}'],
    [
      'a key twice, written otherwise',
      '{"options":{"pool_mode":"session"},"\\u006fptions" : {"pool_mode":"transaction"}}',
    ],
    ['a prototype deep down', '{"options":{"pool_mode":[{"__proto__":1}]}}'],
    ['a prototype, written otherwise', '{"options":{"\\u005f_proto__":1}}'],
    ['a zero byte in a value', '{"options":{"server_reset_query":"a\\u0000b"}}'],
    ['a zero byte in a key', '{"options":{"pool\\u0000mode":"session"}}'],
    ['half of a character', '{"options":{"server_reset_query":"\\ud800"}}'],
    ['half of a character in the author', '{"options":{"pool_mode":"session"},"author":"\\udc00"}'],
    ['a mark of the byte order', '\ufeff{"options":{"pool_mode":"session"}} x'],
    ['two values', '{"options":{"pool_mode":"session"}}{}'],
    ['a comment', '{"options":{"pool_mode":"session"}} // yes'],
    ['a trailing comma', '{"options":{"pool_mode":"session",}}'],
    ['unknown fields', '{"options":{"pool_mode":"session"},"dryRun":true}'],
    ['a list for an object', '[{"options":{"pool_mode":"session"}}]'],
    ['compressed bytes', Buffer.from('1f8b08000000000000ff', 'hex')],
  ])('a body with %s is refused', async (_name, body) => {
    const { at, refused } = await opened();
    await refused(await ask(at, 'PATCH', '/v1/config', body, json), 400);
  });

  it.each([
    ['none', undefined],
    ['a form', 'application/x-www-form-urlencoded'],
    ['text', 'text/plain'],
    ['something like JSON', 'application/jsonp'],
    ['a list of JSON and others', 'application/json, text/plain'],
    ['nonsense', '\u00ff/;;;'],
  ])('a body whose type is %s is refused', async (_name, type) => {
    const { at, refused } = await opened();
    const headers = { ...auth, ...(type === undefined ? {} : { 'content-type': type }) };
    await refused(await ask(at, 'PATCH', '/v1/config', '{"options":{"pool_mode":"session"}}', headers), 415);
  });

  it.each([
    ['/v1/units/0?trace=true&trace=true', 'GET'],
    ['/v1/units/0?trace&trace', 'GET'],
    ['/v1/units/0?force&force', 'DELETE'],
    ['/v1/units/2?author=a&author=b', 'DELETE'],
    ['/v1/units/2?expected=1&expected=0', 'DELETE'],
    ['/v1/units/2?expected=1e0', 'DELETE'],
    ['/v1/units/2?author=%00', 'DELETE'],
    ['/v1/units/2?author=%0aroot', 'DELETE'],
    ['/v1/units/2?__proto__=1', 'DELETE'],
    ['/v1/units/2?constructor', 'DELETE'],
    ['/v1/status?pretty', 'GET'],
    ['/metrics?x', 'GET'],
    ['/v1/units/2%20', 'DELETE'],
    ['/v1/units/0x2', 'DELETE'],
    ['/v1/units/99999999999999999999', 'DELETE'],
    ['/v1/relations/%ff/credentials', 'GET'],
    ['/v1/relations/%c0%ae%c0%ae', 'DELETE'],
  ])('%s (%s) is a bad request', async (path, method) => {
    const { at, refused } = await opened();
    await refused(await ask(at, method, path, undefined, auth), 400);
  });

  it.each([
    ['/v1/relations/..%2f..%2fetc%2fpasswd/credentials'],
    ['/v1/relations/%2e%2e/credentials'],
    ['/v1/../v1/status'],
    ['/v1/./status'],
    ['/v1//status'],
    ['/v1%2fstatus'],
    ['/V1/status'],
    ['/v1/status;x=1'],
    ['/v1/status%00'],
    ['/v1\\status'],
    ['/'],
    ['/openapi.json/'],
    ['/.env'],
    ['/v1/relations/constructor/credentials'],
    ['/v1/relations/__proto__/credentials'],
  ])('at %s there is nothing', async (path) => {
    const { at, refused } = await opened();
    await refused(await ask(at, 'GET', path, undefined, auth), 404);
  });

  it.each(['POST', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'PROPFIND'])('%s is not for the status', async (method) => {
    const { at, refused } = await opened();
    const answer = await ask(at, method, '/v1/status', undefined, auth);
    await refused(answer, 405);
    expect(answer.headers.allow).toBe('GET, HEAD');
  });

  it.each<[string, string, number]>([
    ['no HTTP', 'hello\r\n\r\n', 400],
    ['HTTP/2 without asking', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['an unknown method', `GARBLE /v1/status HTTP/1.1\r\nhost: x\r\n${head}\r\n`, 400],
    [
      'two lengths',
      `PATCH /v1/config HTTP/1.1\r\nhost: x\r\n${head}content-length: 2\r\ncontent-length: 3\r\n\r\n{}`,
      400,
    ],
    [
      'a length and chunks',
      `PATCH /v1/config HTTP/1.1\r\nhost: x\r\n${head}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
    ],
    ['a length that is none', `PATCH /v1/config HTTP/1.1\r\nhost: x\r\n${head}content-length: 2x\r\n\r\n{}`, 400],
    ['a negative length', `PATCH /v1/config HTTP/1.1\r\nhost: x\r\n${head}content-length: -1\r\n\r\n{}`, 400],
    [
      'broken chunks',
      `PATCH /v1/config HTTP/1.1\r\nhost: x\r\n${head}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n`,
      400,
    ],
    ['a zero byte in a header', `GET /v1/status HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n`, 400],
    ['a header without a name', `GET /v1/status HTTP/1.1\r\nhost: x\r\n: a\r\n\r\n`, 400],
    ['a space before the colon', `GET /v1/status HTTP/1.1\r\nhost : x\r\n\r\n`, 400],
    ['a path that is too long', `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nhost: x\r\n\r\n`, 431],
    ['headers that are too many', `GET /v1/status HTTP/1.1\r\nhost: x\r\n${'a: b\r\n'.repeat(4_000)}\r\n`, 431],
    [
      'more than it said',
      `PATCH /v1/config HTTP/1.1\r\nhost: x\r\n${head}content-type: application/json\r\ncontent-length: 300000\r\n\r\n`,
      413,
    ],
  ])('%s is answered and cut off', async (_name, bytes, status) => {
    const { at, refused } = await opened();
    const got = await askRaw(at, bytes);
    const [lines = '', text = ''] = got.split('\r\n\r\n');
    expect(lines).toMatch(/^connection: close$/im);
    const type = /^content-type: (.*)$/im.exec(lines)?.[1];
    await refused(
      { status: Number(/^HTTP\/1\.1 (\d+)/.exec(lines)?.[1]), text, headers: { 'content-type': type } },
      status,
    );
  });

  it('a host is no matter, and neither is one that is missing', async () => {
    const { at } = await opened();
    for (const host of ['', 'host: evil.example\r\n', 'host: a\r\nx-forwarded-for: 127.0.0.1\r\n'])
      expect(await askRaw(at, `GET /v1/status HTTP/1.1\r\n${host}${head}connection: close\r\n\r\n`)).toMatch(
        /^HTTP\/1\.1 200 /,
      );
  });

  it('a request behind another one is a request of its own, with the rights it brings itself', async () => {
    const { at, fleet } = await opened();
    const body = '{"options":{"pool_mode":"session"}}';
    const smuggled = `PATCH /v1/config HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    const got = await askRaw(at, `GET /v1/status HTTP/1.1\r\nhost: x\r\n${head}\r\n${smuggled}`);
    const [first, second] = [...got.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, code]) => code);
    expect([first, second]).toEqual(typeof at === 'string' ? ['200', '200'] : ['200', '401']);
    expect(fleet.intent === null).toBe(typeof at !== 'string');
  });

  it('bytes of any kind are answered with a refusal or not at all, and harm nobody', async () => {
    const { at, fleet } = await opened();
    const good = `PATCH /v1/config HTTP/1.1\r\nhost: x\r\n${head}content-type: application/json\r\ncontent-length: 13\r\n\r\n{"options":1}`;
    const broken = fc
      .tuple(fc.nat(good.length - 1), fc.nat(20), fc.uint8Array({ maxLength: 30 }))
      .map(([from, length, bytes]) =>
        Buffer.concat([Buffer.from(good.slice(0, from)), bytes, Buffer.from(good.slice(from + length))]),
      );
    await fc.assert(
      fc.asyncProperty(broken, async (bytes) => {
        const got = await once(at, bytes);
        expect(got).toMatch(/^$|^HTTP\/1\.1 4\d\d /);
      }),
      { numRuns: 60 },
    );
    expect(fleet.intent).toBe(null);
    expect((await ask(at, 'GET', '/v1/status', undefined, auth)).status).toBe(200);
  });
});

/** What comes back to bytes that may well be the beginning of something longer. */
const once = async (at: At, bytes: Buffer): Promise<string> => {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket: Socket = typeof at === 'string' ? createConnection(at) : createConnection(at.port, at.host);
  let got = '';
  socket.on('data', (chunk) => (got += chunk.toString('latin1')));
  socket.on('error', () => {});
  socket.on('close', () => resolve(got));
  socket.end(bytes);
  return await promise;
};

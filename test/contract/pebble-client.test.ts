import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openPebble } from '../../src/infra/pebble/client.ts';
import { PebbleError } from '../../src/infra/pebble/trouble.ts';
import { pebbles } from '../support/pebble/pebbles.ts';
import { testDirectory } from '../support/servers.ts';
import { pebbleClientContract } from './pebble-client.contract.ts';

for (const { label, start, reason } of await pebbles()) {
  if (start === null) describe(label, () => it.skip(reason ?? 'it cannot be had here', () => {}));
  else pebbleClientContract(label, start);
}

describe('in the place of Pebble', () => {
  let server: Server | null = null;
  afterEach(() => {
    server?.close();
  });
  /** Whoever connects is told this, and then nothing more. */
  const saying = async (text: string, thenEnds = true): Promise<string> => {
    const socket = join(await testDirectory('p-'), 'pebble.socket');
    server = createServer((connection) => {
      connection.on('error', () => {});
      connection.once('data', () => (thenEnds ? connection.end(text) : connection.write(text)));
    }).listen(socket);
    await once(server, 'listening');
    return socket;
  };
  const json = (body: unknown, status = '200 OK'): string => {
    const text = JSON.stringify(body);
    return `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
  };
  const info = { type: 'sync', 'status-code': 200, status: 'OK', result: { 'boot-id': 'b', version: 'v' } };

  it.each([
    ['nothing that is HTTP', 'hello\r\n', { kind: 'protocol' }],
    ['a page', 'HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi', { kind: 'protocol' }],
    ['JSON of another kind', json({ ok: true }), { kind: 'protocol' }],
    ['an answer of another shape', json({ ...info, result: 7 }), { kind: 'protocol' }],
    ['half an answer', json(info).slice(0, -5), { kind: 'away' }],
    ['the end of the connection', '', { kind: 'away' }],
    [
      'an answer on its way down',
      json({ ...info, maintenance: { kind: 'daemon-restart', message: 'x' } }),
      { kind: 'restarting' },
    ],
    [
      'a refusal on its way down',
      json(
        { type: 'error', 'status-code': 503, status: 'x', result: { message: 'x', kind: 'system-restart' } },
        '503 x',
      ),
      { kind: 'restarting' },
    ],
    [
      'a refusal',
      json(
        {
          type: 'error',
          'status-code': 401,
          status: 'x',
          result: { message: 'access denied', kind: 'login-required' },
        },
        '401 x',
      ),
      { kind: 'refused', status: 401, word: 'login-required' },
    ],
  ])('tells %s for what it is', async (_, text, trouble) => {
    const asked = openPebble(await saying(text)).systemInfo(new AbortController().signal);
    await expect(asked).rejects.toMatchObject({ name: 'PebbleError', trouble });
  });

  it('is away when nothing listens, and when there is no answer in time', async () => {
    const nobody = openPebble(join(await testDirectory('p-'), 'pebble.socket'));
    await expect(nobody.systemInfo(new AbortController().signal)).rejects.toThrow(/no such socket yet/);
    const silent = openPebble(await saying('', false), { answerMs: 100 });
    await expect(silent.systemInfo(new AbortController().signal)).rejects.toThrow(/no answer in time/);
    await expect(silent.systemInfo(new AbortController().signal)).rejects.toBeInstanceOf(PebbleError);
  });
});

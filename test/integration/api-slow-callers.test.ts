import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setInterval as every } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { openApi } from '../../src/infra/http/server.ts';
import { writeFile } from 'node:fs/promises';
import { first } from '../support/certificates.ts';
import { MemoryFleet } from '../support/memory-fleet.ts';
import { testDirectory } from '../support/servers.ts';

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const opened = async (isTls: boolean) => {
  const directory = await testDirectory();
  const files = { certificate: join(directory, 'certificate'), key: join(directory, 'key') };
  await writeFile(files.certificate, first.certificate);
  await writeFile(files.key, first.key, { mode: 0o600 });
  const socket = join(directory, 'run', 'pgbouncer-0.sock');
  const tcp = { host: '127.0.0.1', port: 0, tls: isTls ? files : null, tokenFile: null, onTroubles: () => {} };
  const api = await openApi({ fleet: new MemoryFleet().seenFrom(0), socket, tcp, log: silent, version: '0' });
  onTestFinished(() => api[Symbol.asyncDispose]());
  return { socket, port: Number(api.address?.split(':').at(-1)) };
};

/** Sends a beginning, then a byte now and then; what came back when the other side closed, and after how long. */
const drip = async (
  at: string | number,
  beginning: string,
): Promise<{ readonly got: string; readonly seconds: number }> => {
  const connection = typeof at === 'string' ? createConnection(at) : createConnection(at, '127.0.0.1');
  const over = new AbortController();
  const began = performance.now();
  let got = '';
  connection.setEncoding('latin1');
  connection.on('data', (chunk: string) => (got += chunk));
  connection.on('error', () => {});
  const closed = new Promise<void>((resolve) => connection.on('close', () => resolve()));
  void closed.then(() => over.abort());
  connection.write(beginning);
  const dripping = (async () => {
    for await (const _ of every(500, undefined, { signal: over.signal })) if (beginning !== '') connection.write('x');
  })().catch(() => {});
  await closed;
  await dripping;
  return { got, seconds: (performance.now() - began) / 1_000 };
};

it('whoever never ends a request is cut off within seconds, wherever it came in', { timeout: 60_000 }, async () => {
  const [plain, tls] = [await opened(false), await opened(true)];
  const beginnings = [
    '',
    'GET /live',
    'GET /liveness HTTP/1.1\r\nx: ',
    'PATCH /v1/config HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{',
    'PATCH /v1/config HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n1000\r\n{',
  ];
  const ends = await Promise.all([
    ...beginnings.map((beginning) => drip(plain.socket, beginning)),
    ...beginnings.map((beginning) => drip(plain.port, beginning)),
    drip(tls.port, ''),
    drip(tls.port, '\u0016\u0003\u0001'),
  ]);
  for (const { got, seconds } of ends) {
    expect(seconds).toBeLessThan(20);
    expect(got).toMatch(/^$|^\x15\x03|^HTTP\/1\.1 (401|408) /);
  }
});

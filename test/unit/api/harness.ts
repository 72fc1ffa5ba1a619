import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingHttpHeaders, request } from 'node:http';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Fleet } from '../../../src/actors/ports/fleet.ts';
import { type OpenApi, openApi } from '../../../src/infra/http/server.ts';

export interface Line {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export const temporaryDirectory = async (): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'troupe-api-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
};

/** The real server over a real socket, until the test ends. */
export const serve = async (fleet: Fleet, socket?: string): Promise<OpenApi & { readonly lines: readonly Line[] }> => {
  const lines: Line[] = [];
  const at = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) =>
    void lines.push({ level, message, fields });
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  const path = socket ?? join(await temporaryDirectory(), 'pgbouncer-0.sock');
  const api = await openApi({ fleet, socket: path, log, version: '1.2.3' });
  let isOpen = true;
  const close = async () => {
    if (isOpen) await api[Symbol.asyncDispose]();
    isOpen = false;
  };
  onTestFinished(close);
  return { ...api, lines, [Symbol.asyncDispose]: close };
};

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly json: unknown;
}

export const ask = async (
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = { 'content-type': 'application/json' },
): Promise<Answer> => {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const raw =
    typeof body === 'string' || body instanceof Uint8Array || body === undefined ? body : JSON.stringify(body);
  const asked = request(
    { socketPath, method, path, agent: false, headers: body === undefined ? {} : headers },
    (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const isJson = response.headers['content-type']?.startsWith('application/json') === true && text !== '';
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          json: isJson ? JSON.parse(text) : null,
        });
      });
    },
  );
  asked.on('error', reject);
  asked.end(raw);
  return await promise;
};

/** Bytes as they are, and what comes back until the other side closes. */
export const askRaw = async (socket: string, bytes: string): Promise<string> => {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const connection = createConnection(socket);
  let got = '';
  connection.setEncoding('utf8');
  connection.on('data', (chunk: string) => (got += chunk));
  connection.on('error', reject);
  connection.on('close', () => resolve(got));
  connection.write(bytes);
  return await promise;
};

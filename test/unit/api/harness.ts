import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type IncomingHttpHeaders, request } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Fleet } from '../../../src/actors/ports/fleet.ts';
import { type FileTrouble, type OpenApi, openApi, type TcpOptions } from '../../../src/infra/http/server.ts';
import { authority, type Pair } from '../../support/certificates.ts';

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

export type Served = OpenApi & { readonly lines: readonly Line[] };

/** The real server over a real socket, until the test ends. */
export const serve = async (fleet: Fleet, socket?: string, tcp: TcpOptions | null = null): Promise<Served> => {
  const lines: Line[] = [];
  const at = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) =>
    void lines.push({ level, message, fields });
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  const path = socket ?? join(await temporaryDirectory(), 'pgbouncer-0.sock');
  const api = await openApi({ fleet, socket: path, tcp, log, version: '1.2.3' });
  let isOpen = true;
  const close = async () => {
    if (isOpen) await api[Symbol.asyncDispose]();
    isOpen = false;
  };
  onTestFinished(close);
  return { ...api, lines, [Symbol.asyncDispose]: close };
};

export const tokens = {
  read: 'read-token-0123456789abcdef',
  operate: 'operate-token-0123456789abc',
  secrets: 'secrets-token-0123456789abc',
  all: 'all-token-0123456789abcdefg',
} as const;
const tokenText = `# who may do what

read ${tokens.read}
operate ${tokens.operate}
secrets ${tokens.secrets}
operate,secrets ${tokens.all}
`;

/** The same server on loopback as well, over TLS when there is a certificate. */
export const serveTcp = async (
  fleet: Fleet,
  { pair = null, text = tokenText }: { readonly pair?: Pair | null; readonly text?: string | null } = {},
) => {
  const directory = await temporaryDirectory();
  const troubles: FileTrouble[][] = [];
  const files = {
    certificate: join(directory, 'certificate.pem'),
    key: join(directory, 'key.pem'),
    token: join(directory, 'tokens'),
  };
  const write = (file: keyof typeof files, content: string) => writeFile(files[file], content, { mode: 0o600 });
  if (text !== null) await write('token', text);
  if (pair !== null) {
    await write('certificate', pair.certificate);
    await write('key', pair.key);
  }
  const api = await serve(fleet, undefined, {
    host: '127.0.0.1',
    port: 0,
    tls: pair === null ? null : files,
    tokenFile: text === null ? null : files.token,
    onTroubles: (now) => void troubles.push([...now]),
    lookMs: 20,
  });
  const port = Number(api.address?.split(':').at(-1));
  const at: At = { host: '127.0.0.1', port, ca: pair === null ? null : authority };
  return { ...api, at, files, troubles, write };
};

/** Path of a socket, or a place on TCP: over TLS when an authority is named. */
export type At = string | { readonly host: string; readonly port: number; readonly ca: string | null };

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly json: unknown;
}

export const ask = async (
  at: At,
  method: string,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = body === undefined ? {} : { 'content-type': 'application/json' },
): Promise<Answer> => {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const raw =
    typeof body === 'string' || body instanceof Uint8Array || body === undefined ? body : JSON.stringify(body);
  const { ca = null, ...where } = typeof at === 'string' ? { socketPath: at } : at;
  const asked = (ca === null ? request : tlsRequest)(
    { ...where, ...(ca === null ? {} : { ca }), method, path, agent: false, headers },
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
export const askRaw = async (at: At, bytes: string): Promise<string> => {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const connection = typeof at === 'string' ? createConnection(at) : createConnection(at.port, at.host);
  let got = '';
  connection.setEncoding('utf8');
  connection.on('data', (chunk: string) => (got += chunk));
  connection.on('error', reject);
  connection.on('close', () => resolve(got));
  connection.write(bytes);
  return await promise;
};

export const bearing = (token: string): Readonly<Record<string, string>> => ({ authorization: `Bearer ${token}` });

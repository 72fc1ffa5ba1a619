/** HTTP over Pebble's unix socket, and its envelope. Whatever the environment says of proxies is not for a socket. */
import type { IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { type Envelope, envelope } from './answers.ts';
import { awayBecause, cancelled, noProtocol, PebbleError } from './trouble.ts';

export interface Ask {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body?: { readonly contentType: string; readonly content: Buffer };
  readonly accept?: string;
  /** How long an answer may take, where it takes longer than others. */
  readonly withinMs?: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export type Transport = (ask: Ask, signal: AbortSignal) => Promise<Answer>;

/** No unit has more than some files of some kilobytes, and a log that Pebble keeps short. */
const longest = 64 * 1024 * 1024;

/** Rejects with PebbleError: `away` when there was no answer, `cancelled`, or `protocol`. */
export const transportTo =
  (socket: string, answerMs: number): Transport =>
  async (ask, signal) => {
    // Loaded where it is needed: many a hook does not, and it takes longer than the question.
    const { request } = await import('node:http');
    const patience = AbortSignal.timeout(ask.withinMs ?? answerMs);
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const failed = (cause: unknown): void => {
      if (signal.aborted) reject(cancelled());
      else if (cause instanceof Error && String(Reflect.get(cause, 'code')).startsWith('HPE_'))
        reject(noProtocol('it does not speak HTTP', cause));
      else reject(awayBecause(socket, patience.aborted ? patience.reason : cause));
    };
    const sent = request({
      // Given a way to connect it needs no agent, and does not look for a name of the server: a dispatch is short, and that is not.
      createConnection: () => connect(socket),
      method: ask.method,
      path: targetOf(ask),
      signal: AbortSignal.any([signal, patience]),
      headers: {
        host: 'localhost',
        ...(ask.accept === undefined ? {} : { accept: ask.accept }),
        ...(ask.body === undefined
          ? {}
          : { 'content-type': ask.body.contentType, 'content-length': ask.body.content.length }),
      },
    });
    sent.once('error', failed);
    sent.once('response', (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes > longest) response.destroy(new Error(`the answer is longer than ${longest} bytes`));
      });
      response.once('error', failed);
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    sent.end(ask.body?.content);
    return await promise;
  };

/** Rejects with PebbleError: `refused`, `restarting` or `protocol`. */
export const envelopeIn = ({ status, headers, body }: Answer): Exclude<Envelope, { readonly type: 'error' }> => {
  if (!/^application\/json\b/.test(headers['content-type'] ?? ''))
    throw noProtocol(`it answers ${status} with ${headers['content-type'] ?? 'no content type'} and not with JSON`);
  const said = envelope.safeParse(jsonIn(body));
  if (!said.success) throw noProtocol(`it answers ${status} with JSON of another shape`, said.error);
  const word = said.data.maintenance?.kind ?? (said.data.type === 'error' ? said.data.result.kind : undefined);
  if (word === 'daemon-restart' || word === 'system-restart')
    throw new PebbleError({ kind: 'restarting' }, 'Pebble is about to restart');
  if (said.data.type !== 'error') return said.data;
  const { message, kind } = said.data.result;
  throw new PebbleError({ kind: 'refused', status, word: kind ?? null }, `Pebble says: ${message}`);
};

export const jsonIn = (body: Buffer): unknown => {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw noProtocol('its answer is no JSON', cause);
  }
};

const targetOf = ({ path, query = {} }: Ask): string => {
  const pairs = Object.entries(query).flatMap(([key, value]) =>
    (value === undefined ? [] : [value].flat()).map((one): [string, string] => [key, one]),
  );
  return pairs.length === 0 ? path : `${path}?${new URLSearchParams(pairs).toString()}`;
};

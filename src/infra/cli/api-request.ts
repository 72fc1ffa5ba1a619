import type { IncomingMessage } from 'node:http';
import type { RequestOptions as TlsOptions } from 'node:https';
import { codeOf } from '../files/system-error.ts';
import { nameOf, type Place } from './place.ts';

/** Not imported: that looks up all its names, and behind one of them is the whole of `fetch`: 25 ms of every command (Node 24). */
const { request } = process.getBuiltinModule('node:http');

/** HTTP over a unix socket or TCP; `fetch` has no way to say the first. */
export interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
}

/** Nobody answered. What was asked may have been done, unless it never `arrived`. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
  readonly arrived: boolean;
  constructor(place: Place, arrived: boolean, cause: unknown) {
    super(`${nameOf(place)}: ${reasonOf(cause)}`, { cause });
    this.arrived = arrived;
  }
}

/** The beginning of an answer; its body is still to be read, or destroyed. */
export const begin = async (place: Place, asked: ApiRequest, signal: AbortSignal): Promise<IncomingMessage> => {
  const { method, body } = asked;
  const text = body === undefined ? null : JSON.stringify(body);
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  let isConnected = false;
  const isTls = place.kind === 'url' && place.url.protocol === 'https:';
  const send = isTls ? (await import('node:https')).request : request;
  const sent = send({
    ...whereTo(place, asked.path),
    method: method.toUpperCase(),
    signal,
    agent: false,
    headers: {
      ...headersFor(place),
      ...(text === null ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
    },
  });
  sent.on('socket', (connection) => connection.once(isTls ? 'secureConnect' : 'connect', () => (isConnected = true)));
  sent.on('response', resolve);
  sent.on('error', (cause) => reject(new NoAnswer(place, isConnected, signal.aborted ? signal.reason : cause)));
  sent.end(text ?? undefined);
  return await promise;
};

/** Certificates are verified whatever the environment says, and redirections are not followed. */
const whereTo = (place: Place, path: string): TlsOptions => {
  if (place.kind === 'socket') return { socketPath: place.path, path };
  const { url, ca } = place;
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port,
    path: `${url.pathname.replace(/\/$/, '')}${path}`,
    ca: [...ca],
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
  };
};

const headersFor = (place: Place): Readonly<Record<string, string>> => {
  if (place.kind === 'socket') return { host: 'troupe' };
  const { url, token } = place;
  return { host: url.host, ...(token === null ? {} : { authorization: `Bearer ${token.reveal()}` }) };
};

/** So long an answer may take. */
export const answerMs = 15_000;

export interface Answered {
  readonly status: number;
  readonly text: string;
}

const longest = 64 * 1024 * 1024;

export const ask = async (place: Place, asked: ApiRequest, signal: AbortSignal): Promise<Answered> => {
  const response = await begin(place, asked, signal);
  try {
    return { status: response.statusCode ?? 0, text: await bodyOf(response) };
  } catch (cause) {
    throw new NoAnswer(place, true, signal.aborted ? signal.reason : cause);
  } finally {
    response.destroy();
  }
};

export const bodyOf = async (response: IncomingMessage): Promise<string> => {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length > longest) throw new Error(`the answer is longer than ${longest} characters`);
  }
  return text;
};

const stranger =
  'its certificate is not signed by an authority that is known here: name the one that signed it with TROUPE_API_CA_FILE';
const noTls = 'it does not speak TLS there: look at the port, or use http:// when it is this machine itself';

const reasons: Readonly<Record<string, string>> = {
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the name of the host could not be looked up: try again',
  EHOSTUNREACH: 'there is no way to that host',
  ENETUNREACH: 'there is no way to that host',
  ETIMEDOUT: 'no answer in time',
  CERT_HAS_EXPIRED: 'its certificate has expired: give that unit a new one',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet: look at the clocks of both machines',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for other names: ask it by a name that the certificate has',
  DEPTH_ZERO_SELF_SIGNED_CERT: stranger,
  SELF_SIGNED_CERT_IN_CHAIN: stranger,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: stranger,
  UNABLE_TO_GET_ISSUER_CERT: stranger,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: stranger,
  CERT_SIGNATURE_FAILURE: stranger,
  ERR_SSL_WRONG_VERSION_NUMBER: noTls,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: noTls,
  EPROTO: noTls,
  ECONNREFUSED: 'nobody listens there',
  ENOENT: 'there is no such socket',
  ENOTSOCK: 'it is not a socket',
  EACCES: 'permission denied: use sudo, or an account of the group that owns it',
  EPERM: 'permission denied: use sudo, or an account of the group that owns it',
  ECONNRESET: 'the connection was cut',
};

const reasonOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause);
  if (cause.name === 'TimeoutError') return 'no answer in time';
  const code = String(codeOf(cause));
  return reasons[code] ?? (code.startsWith('HPE_') ? 'what answers there does not speak HTTP' : cause.message);
};

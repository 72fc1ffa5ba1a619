import { type IncomingMessage, request } from 'node:http';
import { codeOf } from '../files/system-error.ts';

/** HTTP over a unix socket; `fetch` has no way to say so. */
export interface SocketRequest {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
}

/** Nobody answered. What was asked may have been done, unless it never `arrived`. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
  readonly arrived: boolean;
  constructor(socket: string, arrived: boolean, cause: unknown) {
    super(`${socket}: ${reasonOf(cause)}`, { cause });
    this.arrived = arrived;
  }
}

/** The beginning of an answer; its body is still to be read, or destroyed. */
export const begin = async (
  socket: string,
  { method, path, body }: SocketRequest,
  signal: AbortSignal,
): Promise<IncomingMessage> => {
  const text = body === undefined ? null : JSON.stringify(body);
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  let isConnected = false;
  const asked = request({
    socketPath: socket,
    method: method.toUpperCase(),
    path,
    signal,
    agent: false,
    headers: {
      host: 'troupe',
      ...(text === null ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
    },
  });
  asked.on('socket', (connection) => connection.once('connect', () => (isConnected = true)));
  asked.on('response', resolve);
  asked.on('error', (cause) => reject(new NoAnswer(socket, isConnected, signal.aborted ? signal.reason : cause)));
  asked.end(text ?? undefined);
  return await promise;
};

export interface Answered {
  readonly status: number;
  readonly text: string;
}

const longest = 64 * 1024 * 1024;

export const ask = async (socket: string, asked: SocketRequest, signal: AbortSignal): Promise<Answered> => {
  const response = await begin(socket, asked, signal);
  try {
    return { status: response.statusCode ?? 0, text: await bodyOf(response) };
  } catch (cause) {
    throw new NoAnswer(socket, true, signal.aborted ? signal.reason : cause);
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

const reasons: Readonly<Record<string, string>> = {
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
  return reasons[String(codeOf(cause))] ?? cause.message;
};

/**
 * A command in the container, with its output. Pebble runs it once websockets for its streams are there, within 5 s. A text
 * message `{"command":"end"}` ends a stream in either direction; without one a program that reads its input would wait for ever.
 */
import { connect } from 'node:net';
import type { WebSocket } from 'ws';
import { awayBecause, cancelled, noProtocol } from './trouble.ts';

export interface Command {
  /** The program, by path or by name, and its arguments. */
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly workingDirectory?: string;
  /** Account in the container; Pebble's own when it is not given. */
  readonly user?: string;
  /** It is killed then, and the change has failed. */
  readonly withinMs: number;
  readonly input?: string;
}

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

/** As Pebble wants to be asked. */
export const requestOf = ({ command, environment, workingDirectory, user, withinMs }: Command): unknown => ({
  command,
  ...(environment === undefined ? {} : { environment }),
  // Else it would be the home directory of the account, and one without a home could run nothing.
  'working-dir': workingDirectory ?? '/',
  ...(user === undefined ? {} : { user }),
  timeout: `${withinMs}ms`,
  'split-stderr': true,
});

/** Resolves when both streams have ended. When it is cancelled, Pebble kills the command: its control connection breaks. */
export const converse = async (socket: string, task: string, input: string, signal: AbortSignal): Promise<Output> => {
  // Few dispatches run a command, and this takes longer to load than all else of Pebble.
  const { WebSocket } = await import('ws');
  const options = {
    // Given a way to connect, it asks no agent, and so no proxy.
    createConnection: () => connect(socket),
    perMessageDeflate: false,
    // Once a command has ended Pebble may say goodbye to nobody, and a dispatch would last until this is over.
    closeTimeout: goodbyeMs,
  };
  const open = (name: string): WebSocket =>
    new WebSocket(`ws://localhost/v1/tasks/${encodeURIComponent(task)}/websocket/${name}`, options);
  const sockets = [open('control'), open('stdio'), open('stderr')] as const;
  const [, stdio, stderr] = sockets;
  const abort = (): void => sockets.forEach((one) => one.terminate());
  signal.addEventListener('abort', abort, { once: true });
  const opened = Promise.all(sockets.map((one) => isOpen(one)));
  try {
    const reading = Promise.all([outputOf(stdio), outputOf(stderr)]);
    reading.catch(() => {}); // Heard below, once the sockets are open.
    if (signal.aborted) abort();
    await opened;
    if (input !== '') stdio.send(Buffer.from(input));
    stdio.send(endOfStream);
    const [out, err] = await reading;
    return { stdout: out, stderr: err };
  } catch (cause) {
    abort();
    throw signal.aborted
      ? cancelled()
      : cause instanceof TooLong
        ? noProtocol(cause.message)
        : awayBecause(socket, cause);
  } finally {
    signal.removeEventListener('abort', abort);
    for (const one of sockets) one.close();
  }
};

/** Without a goodbye of ours Pebble would kill the command; it has that at once. */
const goodbyeMs = 20;

const endOfStream = JSON.stringify({ command: 'end' });
const longest = 4 * 1024 * 1024;

class TooLong extends Error {}

const isOpen = async (socket: WebSocket): Promise<void> => {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once('open', resolve);
  // Stays: an error that nobody listens to would end the process.
  socket.on('error', reject);
  return promise;
};

const outputOf = async (socket: WebSocket): Promise<string> => {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const chunks: Buffer[] = [];
  let bytes = 0;
  socket.on('message', (data: Buffer, isBinary: boolean) => {
    if (!isBinary) return resolve(Buffer.concat(chunks).toString('utf8'));
    chunks.push(data);
    bytes += data.length;
    if (bytes > longest) reject(new TooLong(`the output of a command is longer than ${longest} bytes`));
  });
  socket.once('close', () => reject(new Error('the connection ended before the output did')));
  socket.once('error', reject);
  return promise;
};

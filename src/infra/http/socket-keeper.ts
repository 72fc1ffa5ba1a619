import { chmod, lstat } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import type { Log } from '../files/log.ts';
import { prepareSocket, socketMode } from './socket-file.ts';

const lookMs = 1_000;

/**
 * Makes the socket again when somebody removed it, or the directory it lay in: else nobody could ask this unit until it is started
 * again. The server takes the new connections as its own, and those it has go on.
 */
export const keepSocket = (server: Server, socket: string, log: Log): AsyncDisposable => {
  let again: Server | null = null;
  let complained = false;
  let looking: Promise<void> = Promise.resolve();
  const look = async (): Promise<void> => {
    try {
      if ((await lstat(socket).catch(() => null)) !== null) return;
      again?.close();
      again = null;
      await prepareSocket(socket);
      again = await listenAt(socket, server);
      complained = false;
      log.warn({ socket }, 'the socket of the API was removed, and is there again');
    } catch (cause) {
      if (!complained) log.error({ socket, err: cause }, 'the socket of the API was removed, and cannot be made again');
      complained = true;
    }
  };
  const timer = setInterval(() => {
    looking = looking.then(look);
  }, lookMs);
  timer.unref();
  return {
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      await looking;
      again?.close();
    },
  };
};

const listenAt = async (socket: string, server: Server): Promise<Server> => {
  const listener = createServer((connection) => server.emit('connection', connection));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  listener.once('error', reject).listen(socket, resolve);
  await promise;
  await chmod(socket, socketMode);
  return listener;
};

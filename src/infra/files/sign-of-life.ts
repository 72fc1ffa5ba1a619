/**
 * A socket in a folder that many share, by which they see whether the process behind it lives, though each may see no process of another:
 * its kernel takes connections for a process that is frozen, and for none that has ended. It tells something on the same machine only.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { codeOf } from './system-error.ts';

/** Until it is disposed of, or this process ends. Where no socket can be, as at a path that is too long for one, there is just no sign. */
export const giveSignOfLife = async (path: string): Promise<Disposable> => {
  const server = createServer((socket) => socket.destroy()).unref();
  server.listen(path);
  await once(server, 'listening').catch(() => {});
  server.on('error', () => {}); // Of a connection that could not be taken: whoever made it has seen enough.
  return { [Symbol.dispose]: () => void server.close() };
};

/** False: it has ended, or has given none here. */
export const givesSignOfLife = async (path: string): Promise<boolean> => {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return true;
  } catch (cause) {
    return codeOf(cause) === 'EAGAIN'; // It takes nobody, and many have knocked.
  } finally {
    socket.destroy();
  }
};

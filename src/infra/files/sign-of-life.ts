/**
 * A socket in a folder that many share, by which they see that the process behind it has not ended, though each may see no process of
 * another, and though it may be frozen. It tells something on the same machine only.
 */
import { once } from 'node:events';
import { chmod } from 'node:fs/promises';
import { createServer } from 'node:net';

/** Until it is disposed of, or this process ends. Where no socket can be, as at a path that is too long for one, there is just no sign. */
export const giveSignOfLife = async (path: string): Promise<Disposable> => {
  const server = createServer((socket) => socket.destroy()).unref();
  server.listen(path);
  await once(server, 'listening').catch(() => {});
  server.on('error', () => {}); // Of a connection that could not be taken: whoever made it has seen enough.
  await chmod(path, 0o600).catch(() => {});
  return { [Symbol.dispose]: () => void server.close() };
};

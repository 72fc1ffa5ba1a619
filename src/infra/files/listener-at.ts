import { createConnection } from 'node:net';
import { codeOf } from './system-error.ts';

/**
 * Whether a process listens on the Unix socket at this path. The kernel takes connections for one that is frozen or busy too, and for none
 * that has ended. `unclear`: we may not connect, the path is too long, or it is no socket.
 */
export const listenerAt = async (path: string): Promise<'listens' | 'none' | 'unclear'> => {
  const { promise, resolve } = Promise.withResolvers<'listens' | 'none' | 'unclear'>();
  const connection = createConnection(path, () => resolve('listens'));
  connection.on('error', (cause) => {
    const code = codeOf(cause);
    // It accepts nobody, and many have knocked.
    if (code === 'EAGAIN') resolve('listens');
    else resolve(code === 'ECONNREFUSED' || code === 'ENOENT' ? 'none' : 'unclear');
  });
  try {
    return await promise;
  } finally {
    connection.destroy();
  }
};

/** Listens, says where, and sleeps until it is killed: it takes no connection. */
import { createServer } from 'node:net';

const server = createServer();
server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
  const address = server.address();
  process.send?.(address === null || typeof address === 'string' ? 0 : address.port, () => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
});

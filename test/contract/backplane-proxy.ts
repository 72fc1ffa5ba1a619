import { connect, createServer, type Socket } from 'node:net';

/** Between units and their store: harms connections in the ways that networks do. */
export interface StoreProxy extends AsyncDisposable {
  readonly port: number;
  /** Replies vanish; what is asked still arrives. */
  dropReplies(): void;
  /** Nothing arrives in either direction, and nobody is told. */
  swallow(): void;
  /** Replies stay here until all passes again. */
  holdReplies(): void;
  pass(): void;
  /** Ends all connections; new ones are welcome. */
  cut(): void;
  /** How many connections were opened so far. */
  readonly connections: number;
  /** Bytes that went to the store. */
  readonly asked: number;
}

export const openProxy = async (to: { readonly host: string; readonly port: number }): Promise<StoreProxy> => {
  let mode: 'pass' | 'dropReplies' | 'holdReplies' | 'swallow' = 'pass';
  let held: (() => void)[] = [];
  let connections = 0;
  let asked = 0;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    connections += 1;
    const upstream = connect(to.port, to.host);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => {}); // Told by the close that follows.
      socket.once('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    client.on('data', (chunk) => {
      if (mode === 'swallow') return;
      asked += chunk.length;
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      if (mode === 'pass') client.write(chunk);
      if (mode === 'holdReplies') held.push(() => client.write(chunk));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy listens nowhere');
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: address.port,
    dropReplies: () => {
      mode = 'dropReplies';
    },
    swallow: () => {
      mode = 'swallow';
    },
    holdReplies: () => {
      mode = 'holdReplies';
    },
    pass: () => {
      mode = 'pass';
      for (const release of held) release();
      held = [];
    },
    cut,
    get connections() {
      return connections;
    },
    get asked() {
      return asked;
    },
    [Symbol.asyncDispose]: async () => {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};

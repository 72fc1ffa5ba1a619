import { connect, createServer, type Server, type Socket } from 'node:net';

/** Between a client and PostgreSQL: knows the statements that pass, cuts the connection at one of them, or holds one back. */
export interface PostgresProxy extends AsyncDisposable {
  readonly port: number;
  /** Statements seen so far, over all connections. */
  readonly seen: readonly string[];
  /** Connections taken so far. */
  readonly taken: number;
  /** Cuts the connection of the n-th statement from now when PostgreSQL has done it, and keeps the answer. */
  cut(n: number): void;
  /** The next statement that contains `part` and all after it on that connection stay here until they are released. */
  hold(part: string): Held;
}
export interface Held {
  /** Resolves when the statement has arrived. */
  readonly arrived: Promise<void>;
  release(): void;
}

interface Rules {
  readonly seen: string[];
  cutAt: number | null;
  hold: { readonly part: string; readonly arrived: () => void; readonly released: Promise<void> } | null;
}

export const openProxy = async (to: { readonly host: string; readonly port: number }): Promise<PostgresProxy> => {
  const rules: Rules = { seen: [], cutAt: null, hold: null };
  const sockets = new Set<Socket>();
  let taken = 0;
  const server = createServer((client) => {
    taken += 1;
    const upstream = connect(to.port, to.host);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true); // It writes message by message, and nobody waits for the next one.
      socket.on('error', () => {}); // The other side is told by the close that follows.
      socket.once('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    relay(client, upstream, rules);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: portOf(server),
    seen: rules.seen,
    get taken() {
      return taken;
    },
    cut: (n) => {
      rules.cutAt = rules.seen.length + n;
    },
    hold: (part) => {
      const arrival = Promise.withResolvers<void>();
      const release = Promise.withResolvers<void>();
      rules.hold = { part, arrived: arrival.resolve, released: release.promise };
      return { arrived: arrival.promise, release: release.resolve };
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};

/** Message by message, because a rule is about a statement and not about a chunk. */
const relay = (client: Socket, upstream: Socket, rules: Rules): void => {
  let cutWhenAnswered = false;
  let gate = Promise.resolve();
  const fromClient = framer('client');
  client.on('data', (chunk) => {
    gate = gate.then(async () => {
      for (const message of fromClient(chunk)) {
        const statement = statementIn(message);
        if (statement !== null) {
          rules.seen.push(statement);
          cutWhenAnswered ||= rules.seen.length === rules.cutAt;
          const { hold } = rules;
          if (hold !== null && statement.includes(hold.part)) {
            rules.hold = null;
            hold.arrived();
            await hold.released;
          }
        }
        if (upstream.writable) upstream.write(message);
      }
    });
  });
  const fromServer = framer('server');
  let isTlsAnswered = false;
  upstream.on('data', (chunk) => {
    let rest = chunk;
    if (!isTlsAnswered && (rest[0] === byte('N') || rest[0] === byte('S'))) {
      if (rest[0] === byte('S'))
        throw new Error('the proxy cannot look into TLS: the server under test has to be without');
      client.write(rest.subarray(0, 1));
      rest = rest.subarray(1);
    }
    isTlsAnswered = true;
    for (const message of fromServer(rest)) {
      if (cutWhenAnswered && message[0] === byte('Z')) return void client.destroy();
      if (!cutWhenAnswered && client.writable) client.write(message);
    }
  });
};

const byte = (letter: string): number => letter.charCodeAt(0);

const portOf = (server: Server): number => {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy listens nowhere');
  return address.port;
};

/** Cuts a stream into messages. What a client says first has no type, only a length; a wish for TLS comes before it. */
const framer = (side: 'client' | 'server'): ((chunk: Buffer) => readonly Buffer[]) => {
  let waiting: Buffer = Buffer.alloc(0);
  let isStarting = side === 'client';
  return (chunk) => {
    waiting = Buffer.concat([waiting, chunk]);
    const messages: Buffer[] = [];
    for (;;) {
      const head = isStarting ? 0 : 1;
      if (waiting.length < head + 4) return messages;
      const end = head + waiting.readUInt32BE(head);
      if (waiting.length < end) return messages;
      if (isStarting) isStarting = waiting.readUInt32BE(4) === tlsRequest;
      messages.push(waiting.subarray(0, end));
      waiting = waiting.subarray(end);
    }
  };
};

const tlsRequest = 80_877_103;

/** The text of a simple query or of a Parse. */
const statementIn = (message: Buffer): string | null => {
  const type = message[0];
  if (type === byte('Q')) return message.toString('utf8', 5, message.length - 1);
  if (type !== byte('P')) return null;
  const text = message.indexOf(0, 5) + 1;
  return message.toString('utf8', text, message.indexOf(0, text));
};

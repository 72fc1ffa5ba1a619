/** A load balancer of TCP, as small as it can be: every new connection goes to the next member that said it is ready when last asked. */
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as after } from 'node:timers/promises';

export interface Member {
  readonly host: string;
  readonly port: number;
  /** Asks its readiness. */
  readonly isReady: (signal: AbortSignal) => Promise<boolean>;
}

export interface Balancer extends AsyncDisposable {
  readonly port: number;
  /** Connections that each member was given. */
  given(): readonly number[];
}

/** A connection that its member refuses is closed: nothing is tried again for a client. */
export const openBalancer = async (members: readonly Member[], everyMs: number): Promise<Balancer> => {
  const given = members.map(() => 0);
  const ready = members.map(() => false);
  const sockets = new Set<Socket>();
  const ended = new AbortController();
  let last = 0;
  const next = (): number | null => {
    const turn = members.map((_, index) => (last + 1 + index) % members.length);
    return turn.find((index) => ready[index] === true) ?? null;
  };
  const server = createServer((client) => {
    const index = next();
    const member = index === null ? undefined : members[index];
    if (index === null || member === undefined) return void client.destroy();
    last = index;
    given[index] = (given[index] ?? 0) + 1;
    const upstream = connect(member.port, member.host);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => {}); // The other side is told by the close that follows.
      socket.once('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream).pipe(client);
  });
  const probe = async ({ isReady }: Member, index: number): Promise<void> => {
    const inTime = AbortSignal.any([ended.signal, AbortSignal.timeout(everyMs)]);
    ready[index] = await isReady(inTime).catch(() => false);
  };
  await Promise.all(members.map(probe));
  const probing = members.map(async (member, index) => {
    while (!ended.signal.aborted) {
      await after(everyMs, undefined, { signal: ended.signal }).catch(() => {});
      await probe(member, index);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the balancer has no port');
  return {
    port: address.port,
    given: () => [...given],
    [Symbol.asyncDispose]: async () => {
      ended.abort();
      await Promise.all(probing);
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};

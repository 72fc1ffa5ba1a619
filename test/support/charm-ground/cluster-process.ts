/**
 * Within the network of a cluster: takes connections and leads each of them on, to pods in turn as a Service does, or out of the
 * network, or into it, by a unix socket. Told all of it at once, as often as it changes; connections that are there stay.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** Where a connection comes in, or is led to. */
export type Target = { readonly host: string; readonly port: number } | { readonly path: string };
export interface Lane {
  readonly at: Target;
  /** None: whoever comes is refused. */
  readonly to: readonly Target[];
}
export interface Lanes {
  readonly number: number;
  readonly lanes: readonly Lane[];
}

const open = new Map<string, { server: Server; to: readonly Target[]; turn: number }>();

const lead = (client: Socket, target: Target | undefined): void => {
  client.on('error', () => {}); // It is closed then.
  if (target === undefined) return refuse(client);
  const server = connect(target);
  client.on('close', () => server.destroy());
  server.on('error', () => refuse(client)).on('close', () => client.destroy());
  client.pipe(server).pipe(client);
};

/** As a network does where nobody listens. */
const refuse = (client: Socket): void => {
  if (client.remoteAddress === undefined) client.destroy();
  else client.resetAndDestroy();
};

const take = async ({ lanes }: Lanes): Promise<void> => {
  const wanted = new Map(lanes.map((lane) => [JSON.stringify(lane.at), lane]));
  for (const [name, { server }] of open) {
    if (wanted.has(name)) continue;
    server.close();
    open.delete(name);
  }
  for (const [name, { at, to }] of wanted) {
    const known = open.get(name);
    if (known !== undefined) {
      known.to = to;
      continue;
    }
    const server = createServer((client) => {
      const lane = open.get(name);
      lead(client, lane?.to[lane.turn++ % lane.to.length]);
    });
    open.set(name, { server, to, turn: 0 });
    server.listen(at);
    await once(server, 'listening');
  }
};

let taken: Promise<void> = Promise.resolve();
process.on('message', (message: Lanes) => {
  taken = taken.then(() => take(message)).then(() => void process.send?.(message.number));
});
// Who has started it is gone.
process.on('disconnect', () => process.exit());

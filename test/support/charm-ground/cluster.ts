/**
 * The network of a cluster, made of namespaces of the kernel: a bridge that nothing else of this machine is on, and network
 * namespaces on it that have each an address of their own. What it leads to outside of it comes by unix sockets.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Lane, Lanes } from './cluster-process.ts';

const gateway = '10.1.0.1';
/** A bridge without an address of its own takes one of its links, another one when that goes: pods would send to the old one for half a minute. */
const addressOfBridge = '02:00:00:00:00:01';

/** Null when one can be made here; otherwise why not. */
export const troubleWithClusters = async (): Promise<string | null> => {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return 'a network for pods can be made by root on Linux alone';
  try {
    const making = ['ip', 'link', 'add', 'name', 'pods', 'type', 'bridge'];
    await promisify(execFile)('setpriv', [...endsWithUs, 'unshare', ...apart, ...making]);
    return null;
  } catch (cause) {
    const said = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : '';
    return `no network for pods can be made here (it takes util-linux, iproute2, and the right to make namespaces): ${said || String(cause)}`;
  }
};

const endsWithUs = ['--pdeathsig', 'KILL'];
const apart = ['--net', '--mount', '--propagation', 'private'];

/** Namespaces that live as long as a process in them does. */
export interface Place {
  readonly address: string;
  readonly pid: number;
  /** Cut off from everybody else, or there again. */
  reach(isReached: boolean): Promise<void>;
  end(): Promise<void>;
}

export class Cluster implements AsyncDisposable {
  /** What all places take for /etc/hosts. */
  readonly hosts: string;
  readonly #home: string;
  readonly #bridge: Holder;
  readonly #leader: ChildProcess;
  readonly #waysOut: AsyncDisposableStack = new AsyncDisposableStack();
  readonly #lasting: Lane[] = [];
  /** Into the cluster. */
  readonly #ways = new Map<string, { readonly host: string; readonly port: number }>();
  #balanced: readonly Lane[] = [];
  #sent = '';
  #numbered = 0;

  private constructor(home: string, bridge: Holder, leader: ChildProcess) {
    this.#home = home;
    this.hosts = join(home, 'hosts');
    this.#bridge = bridge;
    this.#leader = leader;
  }

  /** `home`: an empty directory. */
  static async open(home: string): Promise<Cluster> {
    const bridge = await hold(apart, 'exec cat');
    await within(bridge.pid, [
      'link set lo up',
      `link add name pods address ${addressOfBridge} type bridge`,
      `addr add ${gateway}/16 dev pods`,
      'link set pods up',
    ]);
    const program = fileURLToPath(new URL('cluster-process.ts', import.meta.url));
    const leader = spawn('nsenter', ['--target', String(bridge.pid), '--net', process.execPath, program], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const cluster = new Cluster(home, bridge, leader);
    await cluster.name(new Map());
    return cluster;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#leader, 'exit');
    this.#leader.kill('SIGKILL');
    await gone;
    await this.#bridge.end();
    await this.#waysOut.disposeAsync();
  }

  /** A network namespace with this address. `namespaces`: others that it has; `script`: what is done in them, and `exec` at its end. */
  async place(address: string, namespaces: readonly string[], script: string): Promise<Place> {
    const holder = await hold([...apart, ...namespaces], script);
    this.#numbered += 1;
    const link = `pod${this.#numbered}`;
    await within(this.#bridge.pid, [
      `link add name ${link} type veth peer name eth0 netns ${holder.pid}`,
      `link set ${link} master pods up`,
    ]);
    await within(holder.pid, [
      'link set lo up',
      `addr add ${address}/16 dev eth0`,
      'link set eth0 up',
      `route add default via ${gateway}`,
    ]);
    return {
      ...holder,
      address,
      reach: (isReached) => within(this.#bridge.pid, [`link set ${link} ${isReached ? 'up' : 'down'}`]),
    };
  }

  /** Makes something of this machine known in the cluster, at an address of its own. */
  async lead(address: string, port: number, to: { readonly host: string; readonly port: number }): Promise<void> {
    const path = join(this.#home, `way-${this.#lasting.length}`);
    this.#waysOut.use(await wayTo(path, to));
    await this.own(address);
    this.#lasting.push({ at: { host: address, port }, to: [{ path }] });
  }

  /** Makes a place of the cluster known to this machine, as a unix socket; again with another place, it leads there from then on. */
  async enter(path: string, to: { readonly host: string; readonly port: number }): Promise<void> {
    this.#ways.set(path, to);
    await this.balance(this.#balanced);
  }

  /** The cluster answers at this address. */
  async own(address: string): Promise<void> {
    await within(this.#bridge.pid, [`addr add ${address}/32 dev lo`]);
  }

  /** Beside what it leads out of the cluster, or into it. */
  async balance(lanes: readonly Lane[]): Promise<void> {
    this.#balanced = lanes;
    const ways = [...this.#ways].map(([at, to]): Lane => ({ at: { path: at }, to: [to] }));
    const wanted = [...this.#lasting, ...ways, ...lanes];
    if (JSON.stringify(wanted) === this.#sent) return;
    this.#sent = JSON.stringify(wanted);
    this.#numbered += 1;
    const message: Lanes = { number: this.#numbered, lanes: wanted };
    const { promise: taken, resolve } = Promise.withResolvers<void>();
    const hear = (number: unknown): void => {
      if (number === message.number) resolve();
    };
    this.#leader.on('message', hear);
    this.#leader.send(message);
    const ended = new AbortController();
    const gone = once(this.#leader, 'exit', { signal: ended.signal }).then(() => {
      throw new Error('the network of the cluster ended');
    });
    await Promise.race([taken, gone]);
    ended.abort();
    await gone.catch(() => {});
    this.#leader.off('message', hear);
  }

  /** Addresses by their names. */
  async name(names: ReadonlyMap<string, string>): Promise<void> {
    const lines = [['localhost', '127.0.0.1'] as const, ...names].map(([name, address]) => `${address} ${name}\n`);
    await mkdir(this.#home, { recursive: true });
    await writeFile(this.hosts, lines.join('')); // The same file: it is mounted.
  }
}

interface Holder {
  readonly pid: number;
  end(): Promise<void>;
}

const hold = async (namespaces: readonly string[], script: string): Promise<Holder> => {
  const child = spawn('unshare', [...namespaces, 'sh', '-euc', `${script}`], { stdio: ['pipe', 'pipe', 'pipe'] });
  const complaints: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => complaints.push(text));
  // `cat` gives back what it hears, so that it is there, and ends with us.
  child.stdin.write('there');
  const [first] = await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
  if (String(first) !== 'there') throw new Error(`cannot make a namespace: ${complaints.join('').trim()}`);
  const { pid = 0 } = child;
  return {
    pid,
    end: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'close');
      child.kill('SIGKILL');
      await gone;
    },
  };
};

/** What `ip` is to do in the network of a process. */
const within = async (pid: number, commands: readonly string[]): Promise<void> => {
  const doing = promisify(execFile)('nsenter', ['--target', String(pid), '--net', 'ip', '-batch', '-']);
  doing.child.stdin?.end(commands.map((command) => `${command}\n`).join(''));
  await doing;
};

const wayTo = async (path: string, to: { readonly host: string; readonly port: number }): Promise<AsyncDisposable> => {
  const server: Server = createServer((client) => {
    const target = connect(to);
    client.on('error', () => target.destroy()).on('close', () => target.destroy());
    target.on('error', () => client.destroy()).on('close', () => client.destroy());
    client.pipe(target).pipe(client);
  });
  server.listen(path);
  await once(server, 'listening');
  return {
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  };
};

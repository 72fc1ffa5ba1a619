/**
 * Who listens where, as the kernel tells it in /proc. `so_reuseport` lets a stranger of the same user share our address unseen,
 * and an old PgBouncer that cannot bind runs on without a word: so listeners are looked up, never assumed.
 */
import { lookup } from 'node:dns/promises';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { allListeners, canonical, type Endpoint, endpointOf, type Listener, rowOf } from './listeners.ts';

/** All TCP listeners of this network namespace at a port. */
export const listenersAt = async (port: number): Promise<readonly Listener[]> =>
  (await allListeners()).filter((listener) => listener.port === port);

/** What PgBouncer is told to listen on (`listen_addr`), as addresses. `*` is both wildcards. */
export const addressesOf = async (listenAddress: string): Promise<readonly string[]> => {
  const names = listenAddress.split(',').map((name) => name.trim());
  const each = names.map(async (name) => {
    if (name === '*') return ['0.0.0.0', '::'];
    if (isIP(name) !== 0) return [canonical(name)];
    return (await lookup(name, { all: true })).map(({ address }) => canonical(address));
  });
  return (await Promise.all(each)).flat();
};

/** Takes connections meant for one of our addresses. */
export const takesFrom = (addresses: readonly string[], { address }: Listener): boolean =>
  addresses.some((ours) => ours === address || ours === wildcardOf(address));

/** Makes binding one of our addresses fail, unless both sides allow it. */
export const overlaps = (addresses: readonly string[], listener: Listener): boolean =>
  takesFrom(addresses, listener) ||
  listener.address === '::' || // Takes IPv4 too, unless it was told not to.
  addresses.some((ours) => listener.address === wildcardOf(ours));

/** A socket as its process holds it. */
export interface HeldSocket {
  readonly fd: number;
  readonly inode: string;
}

/** The first of these sockets that the process holds. */
export const heldBy = (pid: number, inodes: ReadonlySet<string>): HeldSocket | null => {
  for (const fd of descriptorsOf(pid)) {
    const inode = inodeOf(pid, fd);
    if (inode !== null && inodes.has(inode)) return { fd, inode };
  }
  return null;
};

export const holds = (pid: number, inodes: ReadonlySet<string>): boolean => heldBy(pid, inodes) !== null;

export interface HeldListener extends HeldSocket {
  readonly address: string;
}

/** Where the process itself listens, at a port. */
export const listenersOf = async (pid: number, port: number): Promise<readonly HeldListener[]> =>
  (await listenersAt(port)).flatMap(({ address, inode }) => {
    const held = heldBy(pid, new Set([inode]));
    return held === null ? [] : [{ ...held, address }];
  });

/** A port at which the process takes connections; null when it takes none. */
export const portOf = async (pid: number): Promise<number | null> => {
  const listeners = await allListeners();
  const held = heldBy(pid, new Set(listeners.map(({ inode }) => inode)));
  return held === null ? null : (listeners.find(({ inode }) => inode === held.inode)?.port ?? null);
};

/** The other ends of the TCP connections that the process has at a port of its own. */
export const connectionsOf = async (pid: number, port: number): Promise<readonly Endpoint[]> => {
  const held = new Set(descriptorsOf(pid).flatMap((fd) => inodeOf(pid, fd) ?? []));
  const connections = await connectionsAt(new Set([port]));
  return connections.filter(({ inode }) => held.has(inode)).map(({ remote }) => remote);
};

export interface Connection {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly inode: string;
  readonly uid: number;
}

/** All TCP connections of this network namespace at local ports. */
export const connectionsAt = async (ports: ReadonlySet<number>): Promise<readonly Connection[]> => {
  const tables = await Promise.all(
    ['/proc/net/tcp', '/proc/net/tcp6'].map((table) => readFile(table, 'utf8').catch(() => '')),
  );
  return tables
    .flatMap((table) => table.split('\n').slice(1, -1).map(rowOf))
    .filter(({ local, state }) => state === stateEstablished && ports.has(endpointOf(local).port))
    .map(({ local, remote, inode, uid }) => ({
      local: endpointOf(local),
      remote: endpointOf(remote),
      inode,
      uid: Number(uid),
    }));
};

/** Far cheaper than to look it up again: the kernel walks all its tables for that. */
export const stillHolds = (pid: number, { fd, inode }: HeldSocket): boolean => inodeOf(pid, fd) === inode;

/** Unix sockets that listen at a path with this beginning. */
export const unixListeners = async (
  prefix: string,
): Promise<readonly { readonly path: string; readonly inode: string }[]> => {
  const lines = (await readFile('/proc/net/unix', 'utf8')).split('\n');
  return lines.flatMap((line) => {
    // Num RefCount Protocol Flags Type St Inode Path
    const [, , , flags, , , inode] = line.split(/\s+/, 7);
    const at = line.indexOf(` ${prefix}`);
    return flags === accepting && inode !== undefined && at !== -1 ? [{ path: line.slice(at + 1), inode }] : [];
  });
};

/** For a sentence: `process 4711 (nginx)`, a PgBouncer with its file, or as much as we may see of it. */
export const describeHolder = ({ inode, uid }: { readonly inode: string; readonly uid?: number }): string => {
  const pid = visibleProcesses().find((candidate) => holds(candidate, new Set([inode])));
  if (pid !== undefined) {
    const ini = argumentsOf(pid).find((argument) => argument.endsWith('.ini'));
    return `process ${pid} (${nameOf(pid)}${ini === undefined ? '' : ` ${ini}`})`;
  }
  return uid === undefined ? 'a process that we may not look into' : `a process of user id ${uid}`;
};

/** Processes with exactly this argument that we may look into. */
export const processesWithArgument = (argument: string): readonly number[] =>
  visibleProcesses().filter((pid) => argumentsOf(pid).includes(argument));

const accepting = '00010000';
const stateEstablished = '01';

const wildcardOf = (address: string): string => (isIP(address) === 6 ? '::' : '0.0.0.0');

/** Lowest first: listeners are opened before any client. */
const descriptorsOf = (pid: number): readonly number[] => {
  try {
    return readdirSync(`/proc/${pid}/fd`)
      .map(Number)
      .toSorted((a, b) => a - b);
  } catch {
    return []; // Gone, or not ours to look into.
  }
};

const inodeOf = (pid: number, fd: number): string | null => {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? null;
  } catch {
    return null; // Closed meanwhile.
  }
};

const visibleProcesses = (): readonly number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

const argumentsOf = (pid: number): readonly string[] => procText(pid, 'cmdline').split('\0');
const nameOf = (pid: number): string => procText(pid, 'comm').trim() || 'unknown';

const procText = (pid: number, file: string): string => {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
};

/** Who listens, as the kernel tells it in /proc. */
import { open } from 'node:fs/promises';
import { isIP, SocketAddress } from 'node:net';

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export interface Listener {
  readonly address: string;
  readonly port: number;
  readonly inode: string;
  readonly uid: number;
}

/** All TCP listeners of this network namespace. */
export const allListeners = async (): Promise<readonly Listener[]> =>
  (await Promise.all([listening('/proc/net/tcp'), listening('/proc/net/tcp6')])).flat();

const stateListen = '0A';

/** The kernel lists listeners before connections, of which there may be tens of thousands: the rest is not read. */
const listening = async (table: string): Promise<readonly Listener[]> => {
  const file = await open(table).catch(() => null); // Without IPv6 there is no tcp6.
  if (file === null) return [];
  await using _closing = file;
  let text = '';
  for (;;) {
    const { bytesRead, buffer } = await file.read({ buffer: Buffer.alloc(16_384) });
    text += buffer.toString('latin1', 0, bytesRead);
    const rows = text.split('\n').slice(1, -1).map(rowOf);
    const end = rows.findIndex(({ state }) => state !== stateListen);
    if (end !== -1 || bytesRead === 0) return rows.slice(0, end === -1 ? rows.length : end).map(listenerOf);
  }
};

export interface Row {
  readonly local: string;
  readonly remote: string;
  readonly state: string;
  readonly uid: string;
  readonly inode: string;
}

export const rowOf = (line: string): Row => {
  // sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …
  const [, local = '', remote = '', state = '', , , , uid = '', , inode = ''] = line.trim().split(/\s+/);
  return { local, remote, state, uid, inode };
};

const listenerOf = ({ local, uid, inode }: Row): Listener => ({ ...endpointOf(local), inode, uid: Number(uid) });

export const endpointOf = (local: string): Endpoint => {
  const [hex = '', port = ''] = local.split(':');
  const words = hex.match(/.{8}/g) ?? [];
  const bytes = words.flatMap((word) =>
    (word.match(/../g) ?? []).toReversed().map((byte) => Number.parseInt(byte, 16)),
  );
  return { address: bytes.length === 4 ? bytes.join('.') : ipv6Of(bytes), port: Number.parseInt(port, 16) };
};

const ipv6Of = (bytes: readonly number[]): string => {
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return canonical((hex.match(/.{4}/g) ?? []).join(':'));
};

/** As others write it. */
export const canonical = (address: string): string =>
  isIP(address) === 6 ? new SocketAddress({ address, family: 'ipv6' }).address : address;

import type { Listener } from '../instances/listeners.ts';
import { addressesOf, describeHolder, holds, listenersAt } from '../instances/sockets.ts';
import type { Unit } from './unit.ts';

/** Who else holds our address at a port, as a clause: with `so_reuseport` the kernel would share it without a word. */
export const strangersAt = async (
  unit: Unit,
  port: number,
  isInTheWay: (addresses: readonly string[], listener: Listener) => boolean,
): Promise<string | null> => {
  const [addresses, listeners] = await Promise.all([addressesOf(unit.listenAddress), listenersAt(port)]);
  const inTheWay = listeners.filter((listener) => isInTheWay(addresses, listener));
  const known = unit.instances.flatMap((instance) => instance.running()?.listeners ?? []).map(({ inode }) => inode);
  const others = inTheWay.filter(({ inode }) => !known.includes(inode));
  if (others.length === 0) return null;
  // Not seen yet, or of an earlier life with more instances.
  const ours = [...unit.instances, ...(await unit.surplus())].flatMap((instance) => instance.running()?.mark.pid ?? []);
  const strangers = others.filter(({ inode }) => !ours.some((pid) => holds(pid, new Set([inode]))));
  if (strangers.length === 0) return null;
  const holders = strangers.map((stranger) => `${stranger.address}:${port} is held by ${describeHolder(stranger)}`);
  return [...new Set(holders)].join(', ');
};

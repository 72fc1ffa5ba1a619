import type { Listener } from '../instances/listeners.ts';
import { addressesOf, describeHolder } from '../instances/sockets.ts';
import type { Survey, Unit } from './unit.ts';

/**
 * Who else holds our address at a port, as a clause: with `so_reuseport` the kernel would share it without a word. Processes of the
 * other container cannot be looked into. But each instance that serves listens at its own address too: of those that share ours
 * there are as many, and of the same account.
 */
export const strangersAt = async (
  unit: Unit,
  { instances, surplus, listeners }: Survey,
  port: number,
  isInTheWay: (addresses: readonly string[], listener: Listener) => boolean,
): Promise<string | null> => {
  const addresses = await addressesOf(unit.listenAddress);
  const own = unit.instances.map(({ consoleAddress }) => consoleAddress);
  const at = listeners.filter((listener) => listener.port === port);
  const ours = [...instances, ...surplus].filter((one) => one.port === port);
  const uids = new Set(ours.flatMap(({ process }) => process?.uid ?? []));
  const shared = at.filter((listener) => isInTheWay(addresses, listener));
  const clauses = [...Map.groupBy(shared, ({ address }) => address)].flatMap(([address, holders]) => {
    const foreign = holders.filter(({ uid }) => !uids.has(uid));
    const among = foreign.length === 0 && holders.length > ours.length ? holders.slice(0, 1) : [];
    return [
      ...foreign.map((holder) => `${address}:${port} is held by ${describeHolder(holder)}`),
      ...among.map(
        ({ uid }) => `${address}:${port} is held by a process of user id ${uid} that is none of our instances`,
      ),
    ];
  });
  const beside = at.filter(
    ({ address }) => own.includes(address) && ours.every(({ instance }) => instance.consoleAddress !== address),
  );
  const consoles = beside.map((holder) => `${holder.address}:${port} is held by ${describeHolder(holder)}`);
  const all = [...new Set([...clauses, ...consoles])];
  return all.length === 0 ? null : all.join(', ');
};

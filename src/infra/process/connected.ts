/**
 * Who is connected to the instances: by their consoles as long as these may be asked, and by the kernel's table of connections when
 * an instance drains. Its console would count as a client, and before 1.25 cannot be reached any more; who was seen there before
 * is known by name.
 */
import type { ConnectedClient } from '../../actors/model/workload.ts';
import type { Instance, Running } from './instance.ts';
import { connectionsOf } from '../instances/sockets.ts';
import type { Unit } from './unit.ts';

export const connected = async (unit: Unit, signal: AbortSignal): Promise<readonly ConnectedClient[]> =>
  (await Promise.all(unit.instances.map((instance) => clientsOf(unit, instance, signal)))).flat();

const clientsOf = async (unit: Unit, instance: Instance, signal: AbortSignal): Promise<readonly ConnectedClient[]> => {
  const running = instance.running();
  if (running === null) return [];
  const shown = running.draining ? null : await shownBy(running, { withinMs: unit.patience.answer, signal });
  if (shown === null) return remoteEndsOf(instance, running);
  const clients = shown.map((client) => ({ instance: instance.id, ...client }));
  running.clients = new Map(clients.map((client) => [`${client.address}:${client.port}`, client]));
  return clients;
};

/** Without our own console. Null when it does not answer. */
const shownBy = async (
  { console }: Running,
  patience: Parameters<Running['console']['show']>[1],
): Promise<readonly Omit<ConnectedClient, 'instance'>[] | null> => {
  const answer = await console.show('clients', patience);
  if (answer.kind !== 'answered') return null;
  return answer.value.flatMap((row) => {
    const [user, database, address] = [row['user'] ?? '', row['database'] ?? '', row['addr'] ?? ''];
    return address === 'unix' && database === 'pgbouncer'
      ? []
      : [{ user, database, address, port: Number(row['port'] ?? 0) }];
  });
};

const remoteEndsOf = async (
  { id }: Instance,
  { mark, port, clients }: Running,
): Promise<readonly ConnectedClient[]> => {
  const ends = await connectionsOf(mark.pid, port);
  return ends.map(
    (end) => clients.get(`${end.address}:${end.port}`) ?? { instance: id, user: '', database: '', ...end },
  );
};

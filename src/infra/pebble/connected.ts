/**
 * Who is connected to the instances: by their consoles as long as these may be asked. When one drains its console would count as a
 * client, and before 1.25 cannot be reached any more; then the kernel's table of connections tells who is left, though not at which
 * instance: who was not seen before is told of the first that drains.
 */
import type { ConnectedClient } from '../../actors/model/workload.ts';
import { listenPortOf } from '../../pgbouncer/ini.ts';
import { connectionsAt } from '../instances/sockets.ts';
import { textOf } from './files.ts';
import { type Found, type OwnLogins, reached, surveyOf, type Unit } from './unit.ts';

export const connected = async (unit: Unit, signal: AbortSignal): Promise<readonly ConnectedClient[]> => {
  const { instances } = await surveyOf(unit, signal);
  const logins = await unit.logins(signal);
  const shown = (await Promise.all(instances.map((found) => shownBy(unit, found, logins, signal)))).flat();
  const deaf = instances.filter(({ process, port }) => process !== null && port === null);
  return [...shown, ...(deaf.length === 0 ? [] : await leftAt(unit, deaf, shown, signal))];
};

/** Without our own console. */
const shownBy = async (
  unit: Unit,
  found: Found,
  logins: OwnLogins,
  signal: AbortSignal,
): Promise<readonly ConnectedClient[]> => {
  const { instance } = found;
  const one = reached(unit, found, logins);
  if (one === null || instance.draining) return [];
  const answer = await one.console.show('clients', { withinMs: unit.patience.answer, signal });
  if (answer.kind !== 'answered') return [];
  const clients = answer.value.flatMap((row): readonly ConnectedClient[] => {
    const [user, database, address] = [row['user'] ?? '', row['database'] ?? '', row['addr'] ?? ''];
    if (user === logins.console.username) return [];
    return [{ instance: instance.id, user, database, address, port: Number(row['port'] ?? 0) }];
  });
  instance.clients = new Map(clients.map((client) => [keyOf(client), client]));
  return clients;
};

const leftAt = async (
  unit: Unit,
  deaf: readonly Found[],
  shown: readonly ConnectedClient[],
  signal: AbortSignal,
): Promise<readonly ConnectedClient[]> => {
  const inis = await unit.pebble.readFiles(
    deaf.map(({ instance }) => instance.place.ini),
    signal,
  );
  const ports = new Set([
    ...deaf.flatMap(({ instance }) => instance.servedAt ?? []),
    ...inis.flatMap((ini) => listenPortOf(textOf(ini) ?? '') ?? []),
  ]);
  const uids = new Set(deaf.flatMap(({ process }) => process?.uid ?? []));
  const elsewhere = new Set(shown.map(keyOf));
  const known = new Map(deaf.flatMap(({ instance }) => [...instance.clients]));
  const connections = await connectionsAt(ports);
  return connections
    .filter(({ uid, local }) => uids.has(uid) && unit.instances.every((one) => one.consoleAddress !== local.address))
    .filter(({ remote }) => !elsewhere.has(keyOf(remote)))
    .map(
      ({ remote }) =>
        known.get(keyOf(remote)) ?? { instance: deaf[0]?.instance.id ?? 0, user: '', database: '', ...remote },
    );
};

const keyOf = ({ address, port }: { readonly address: string; readonly port: number }): string => `${address}:${port}`;

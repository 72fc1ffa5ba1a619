import { Secret } from '../../actors/model/secret.ts';
import type { InstanceFact, Inspection, Layout } from '../../actors/model/workload.ts';
import { databasesIn, listenPortOf, usersIn } from '../../pgbouncer/ini.ts';
import { lookAt } from '../instances/look.ts';
import { takesFrom } from '../instances/sockets.ts';
import { textOf } from './files.ts';
import { versionOf } from './program.ts';
import { strangersAt } from './strangers.ts';
import { lookAtTls } from './tls.ts';
import { type Found, noteOf, type OwnLogins, reached, type Survey, surveyOf, type Unit } from './unit.ts';

/** What is on disk and what runs. A container that was started again has neither files nor processes: then both are missing. */
export const inspect = async (unit: Unit, signal: AbortSignal): Promise<Inspection> => {
  const { pebble, places, instances } = unit;
  const [logins, survey] = await Promise.all([unit.logins(signal), surveyOf(unit, signal)]);
  const surplus = survey.surplus.map(({ instance }) => instance.place.ini);
  const [own, inis, notes, older] = await Promise.all([
    pebble.readFiles([places.authFile, places.program], signal),
    pebble.readFiles(
      instances.map(({ place }) => place.ini),
      signal,
    ),
    pebble.readFiles(
      instances.map(({ place }) => place.paused),
      signal,
    ),
    pebble.readFiles(surplus, signal),
  ]);
  const [authFile, program] = own.map(textOf);
  const texts = inis.map(textOf);
  const [binary, facts, obstacles, tls] = await Promise.all([
    versionOf(unit, program ?? null, signal),
    Promise.all(survey.instances.map((found, index) => factOf(unit, found, logins, textOf(notes[index]), signal))),
    obstaclesIn(unit, survey, texts, signal),
    lookAtTls(unit, texts, signal),
  ]);
  return {
    binary,
    layout: { ...layoutOf(unit, logins), tls: tls.files, retiring: older.map(textOf).flatMap(retiringIn) },
    disk: {
      tls: tls.isWritten,
      authFile: authFile === null || authFile === undefined ? null : new Secret(authFile),
      instances: instances.map(({ id }, index) => ({ id, ini: texts[index] ?? null })),
    },
    instances: facts,
    obstacles: [...obstacles, ...tls.troubles.map((message) => ({ id: 'tls', message }) as const)],
  };
};

const layoutOf = (
  { listenAddress, places, instances }: Unit,
  { probe, console }: OwnLogins,
): Omit<Layout, 'retiring' | 'tls'> => ({
  listenAddress,
  authFile: places.authFile,
  probe: { username: probe.username, verifier: probe.verifier },
  console: { username: console.username, verifier: console.verifier, rulesFile: places.rules },
  instances: instances.map(({ place: { id, ini, socketDir }, consoleAddress }) => ({
    id,
    ini,
    socketDir,
    consoleAddress,
  })),
});

const retiringIn = (ini: string | null): Layout['retiring'] => {
  const limits = (of: 'database' | 'login', entries: ReturnType<typeof databasesIn>, key: string) =>
    [...entries].map(([name, pairs]) => ({ of, name, connections: Number(pairs.get(key) ?? 0) }));
  return [
    ...limits('database', databasesIn(ini ?? ''), 'max_db_connections'),
    ...limits('login', usersIn(ini ?? ''), 'max_user_connections'),
  ];
};

const factOf = async (
  unit: Unit,
  found: Found,
  logins: OwnLogins,
  note: string | null,
  signal: AbortSignal,
): Promise<InstanceFact> => {
  const { instance, process } = found;
  const nothing = { version: null, canary: null, paused: false, settings: null, pools: null } as const;
  if (process === null) return { id: instance.id, state: 'absent', pid: null, ...nothing };
  const { pid, descriptors } = process;
  const present = { id: instance.id, pid, descriptors } as const;
  if (instance.draining) return { ...present, state: 'running', ...nothing };
  const one = reached(unit, found, logins);
  // Somebody else may have told it to drain. Our own console would keep it alive then, and it would look well for ever.
  if (one === null) return { ...present, state: 'hung', ...nothing };
  const withinMs = unit.patience.answer;
  const version = await instance.version(one.console, withinMs, signal);
  const look = await lookAt(one.console, version, { withinMs, signal });
  // Whoever answers there says where it lives.
  if (look === null || look.settings['unix_socket_dir'] !== instance.place.socketDir)
    return { ...present, state: 'hung', ...nothing };
  const paused = look.paused ?? note === noteOf(process);
  return { ...present, state: 'running', ...look, paused, unlinked: await isUnlinked(unit, found, signal) };
};

/** The console is reached without the socket; the other instances need it, to hand on requests to cancel. */
const isUnlinked = async ({ pebble }: Unit, { instance, port }: Found, signal: AbortSignal): Promise<boolean> => {
  const sockets = await pebble.listFiles(instance.place.socketDir, signal, `.s.PGSQL.${port ?? 0}`);
  return sockets?.some(({ type }) => type === 'socket') !== true;
};

const obstaclesIn = async (
  unit: Unit,
  survey: Survey,
  inis: readonly (string | null)[],
  signal: AbortSignal,
): Promise<Inspection['obstacles']> => {
  const ports = new Set(survey.instances.flatMap(({ port }, index) => port ?? listenPortOf(inis[index] ?? '') ?? []));
  const clauses = await Promise.all([...ports].map((port) => strangersAt(unit, survey, port, takesFrom)));
  const runs = survey.instances.some(({ process }) => process !== null);
  const effect = runs ? '; a part of the clients reaches that instead of this unit' : '';
  const held = clauses.flatMap((clause) =>
    clause === null ? [] : [{ id: 'address', message: `${clause}${effect}` } as const],
  );
  return [...held, ...(await exhaustedIn(unit, survey, signal))];
};

/** PgBouncer takes nobody for five seconds after it could not, and clients hang meanwhile. */
const rememberedMs = 6_000;

const exhaustedIn = async (unit: Unit, survey: Survey, signal: AbortSignal): Promise<Inspection['obstacles']> => {
  const running = survey.instances.filter(({ process }) => process !== null);
  if (running.length === 0) return [];
  const services = running.map(({ instance }) => instance.place.service);
  const lines = await unit.pebble.logs(services, 200, signal);
  const since = unit.clock.wall() - rememberedMs;
  const full = new Set(
    lines.flatMap(({ time, service, message }) =>
      Date.parse(time) >= since && message.includes(outOfDescriptors) ? [service] : [],
    ),
  );
  return running
    .filter(({ instance }) => full.has(instance.place.service))
    .map(({ instance: { id }, process }) => ({
      id: 'descriptors',
      message: `instance ${id} (process ${process?.pid ?? 0}) has used up its ${process?.descriptors ?? ''} file descriptors`,
    }));
};

const outOfDescriptors = 'accept() failed: Too many open files';

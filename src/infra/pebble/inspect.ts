import { Secret } from '../../actors/model/secret.ts';
import type { InstanceFact, Inspection, Layout } from '../../actors/model/workload.ts';
import { databasesIn, listenPortOf, usersIn } from '../../pgbouncer/ini.ts';
import type { Rows } from '../../pgbouncer/show.ts';
import { databaseMismatches } from '../../pgbouncer/verify.ts';
import { lookAt } from '../instances/look.ts';
import { addressesOf, takesFrom } from '../instances/sockets.ts';
import { textOf } from './files.ts';
import { versionOf } from './program.ts';
import { strangersAt } from './strangers.ts';
import { lookAtTls } from './tls.ts';
import { areReachable, type Found, noteOf, type OwnLogins, reached, type Survey, surveyOf, type Unit } from './unit.ts';
import { isVerified } from './verified.ts';

/** What is on disk and what runs. A container that was started again has neither files nor processes: then both are missing. */
export const inspect = async (unit: Unit, signal: AbortSignal): Promise<Inspection> => {
  const { places, instances } = unit;
  const paths = instances.flatMap(({ place }) => [place.ini, place.paused]);
  const [logins, survey, addresses, [authFile, program, verified, ...files]] = await Promise.all([
    unit.logins(signal),
    surveyOf(unit, signal),
    addressesOf(unit.listenAddress),
    textsOf(unit, [places.authFile, places.program, places.verified, ...paths], signal),
  ]);
  const texts = instances.map((_, index) => files[2 * index] ?? null);
  const notes = instances.map((_, index) => files[2 * index + 1] ?? null);
  const [binary, seen, obstacles, tls, older] = await Promise.all([
    versionOf(unit, program ?? null, signal),
    Promise.all(survey.instances.map((found, index) => look(unit, found, logins, notes[index] ?? null, signal))),
    obstaclesIn(unit, survey, texts, signal),
    lookAtTls(unit, texts, signal),
    textsOf(
      unit,
      survey.surplus.map(({ instance }) => instance.place.ini),
      signal,
    ),
  ]);
  const inis = new Map(instances.map(({ id }, index) => [id, texts[index] ?? '']));
  const ports = new Set(survey.instances.flatMap(({ port }) => port ?? []));
  const attested =
    isVerified(verified ?? null, survey, { authFile: authFile ?? '', inis }) &&
    [...ports].every((port) => areReachable(survey, addresses, port)) &&
    seen.every(
      ({ fact: { id, state }, databases }) =>
        state === 'absent' || databaseMismatches(inis.get(id) ?? '', databases).length === 0,
    );
  return {
    binary,
    layout: { ...layoutOf(unit, logins), tls: tls.files, retiring: older.flatMap(retiringIn) },
    disk: {
      tls: tls.isWritten,
      authFile: authFile === null || authFile === undefined ? null : new Secret(authFile),
      instances: instances.map(({ id }, index) => ({ id, ini: texts[index] ?? null })),
    },
    instances: seen.map(({ fact }) => fact),
    attested,
    obstacles: [...obstacles, ...tls.troubles.map((message) => ({ id: 'tls', message }) as const)],
  };
};

const textsOf = async ({ pebble }: Unit, paths: readonly string[], signal: AbortSignal) =>
  (await pebble.readFiles(paths, signal)).map(textOf);

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

interface Seen {
  readonly fact: InstanceFact;
  /** As it shows them; none where it shows nothing. */
  readonly databases: Rows;
}

const look = async (
  unit: Unit,
  found: Found,
  logins: OwnLogins,
  note: string | null,
  signal: AbortSignal,
): Promise<Seen> => {
  const { instance, process } = found;
  const nothing = { version: null, canary: null, paused: false, settings: null, pools: null } as const;
  const only = (fact: InstanceFact): Seen => ({ fact, databases: [] });
  if (process === null) return only({ id: instance.id, state: 'absent', pid: null, ...nothing });
  const { pid, descriptors } = process;
  const present = { id: instance.id, pid, descriptors } as const;
  if (instance.draining) return only({ ...present, state: 'running', ...nothing });
  const one = reached(unit, found, logins);
  // Somebody else may have told it to drain. Our own console would keep it alive then, and it would look well for ever.
  if (one === null) return only({ ...present, state: 'hung', ...nothing });
  const withinMs = unit.patience.answer;
  const version = await instance.version(one.console, withinMs, signal);
  const shown = await lookAt(one.console, version, { withinMs, signal });
  // Whoever answers there says where it lives.
  if (shown === null || shown.settings['unix_socket_dir'] !== instance.place.socketDir)
    return only({ ...present, state: 'hung', ...nothing });
  const { databases, ...told } = shown;
  const paused = told.paused ?? note === noteOf(process);
  const unlinked = await isUnlinked(unit, found, signal);
  return { fact: { ...present, state: 'running', ...told, paused, unlinked }, databases };
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

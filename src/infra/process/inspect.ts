import { Secret } from '../../actors/model/secret.ts';
import type { InstanceFact, Inspection, Layout } from '../../actors/model/workload.ts';
import { databasesIn, usersIn } from '../../pgbouncer/ini.ts';
import type { Patience } from '../console/console.ts';
import { lookAt } from '../instances/look.ts';
import type { Instance, Running } from './instance.ts';
import { rotateLog } from './log-file.ts';
import { isAlive } from '../files/process-mark.ts';
import { isSystemError } from '../files/system-error.ts';
import { obstaclesIn, wordsOf } from './obstacles.ts';
import { readOwn } from './own-file.ts';
import { preparePlaces } from './places.ts';
import { layoutOf, type Unit } from './unit.ts';

/** What is on disk and what runs. Asked about once a second, so it does no more than it must. */
export const inspect = async (unit: Unit, signal: AbortSignal): Promise<Inspection> => {
  const { instances, place, logLimitBytes } = unit;
  const [binary, authFile, inis, facts, retiring] = await Promise.all([
    unit.binary.version(),
    readOwn(place.authFile),
    Promise.all(instances.map(async ({ id, place: { ini } }) => ({ id, ini: await readOwn(ini) }))),
    Promise.all(instances.map((instance) => factOf(unit, instance, signal))),
    retiringOf(unit),
    Promise.all(instances.map((instance) => lookAtLog(instance, logLimitBytes))),
  ]);
  const texts = inis.map(({ ini }) => ini);
  const obstacles = await obstaclesIn(unit, texts);
  const tls = await unit.tls.look(unit, texts, signal);
  const homeless = facts.some(({ unlinked }) => unlinked === true) ? await withoutHome(unit) : [];
  const disk = { authFile: authFile === null ? null : new Secret(authFile), tls: tls.isWritten, instances: inis };
  return {
    binary,
    layout: { ...layoutOf(unit), tls: tls.files, retiring },
    disk,
    // Restarted where its socket cannot be, an instance would not serve at all.
    instances: homeless.length === 0 ? facts : facts.map((fact) => ({ ...fact, unlinked: false })),
    obstacles: [...obstacles, ...homeless, ...tls.troubles.map((message) => ({ id: 'tls', message }) as const)],
  };
};

/** Why the directories of sockets cannot be made again. */
const withoutHome = async (unit: Unit): Promise<Inspection['obstacles']> => {
  try {
    await preparePlaces(
      unit.place,
      unit.instances.map(({ place }) => place),
    );
    return [];
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    return [
      { id: 'files', message: `the sockets of the instances are gone, and cannot be made again: ${wordsOf(cause)}` },
    ];
  }
};

/** A log that cannot be read or emptied harms nobody yet. */
const lookAtLog = async (instance: Instance, limitBytes: number): Promise<void> => {
  try {
    const running = instance.running();
    if (running !== null) await instance.readLog(running);
    await rotateLog(instance.place.log, limitBytes);
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
  }
};

/** By their files: an open console would keep alive what drains. */
const retiringOf = async (unit: Unit): Promise<Layout['retiring']> => {
  const inis = await Promise.all((await unit.surplus()).map(({ place: { ini } }) => readOwn(ini)));
  const limits = (of: 'database' | 'login', entries: ReturnType<typeof databasesIn>, key: string) =>
    [...entries].map(([name, pairs]) => ({ of, name, connections: Number(pairs.get(key) ?? 0) }));
  return inis.flatMap((ini) => [
    ...limits('database', databasesIn(ini ?? ''), 'max_db_connections'),
    ...limits('login', usersIn(ini ?? ''), 'max_user_connections'),
  ]);
};

const factOf = async (unit: Unit, instance: Instance, signal: AbortSignal): Promise<InstanceFact> => {
  const { id } = instance;
  const running = instance.running();
  if (running === null) return absent(id);
  if (running.draining) return present(id, 'running', running);
  const patience = { withinMs: unit.patience.answer, signal };
  // Somebody else may have told it to drain. Our own console would keep it alive then, and it would look well for ever.
  const isReachable = await instance.isReachable(running);
  const answers = isReachable && (await hasAnswered(running, patience));
  const unlinked = await instance.isUnlinked(running);
  running.silent = isReachable && !answers && !unlinked;
  if (answers) return { ...present(id, 'running', running), unlinked };
  return isAlive(running.mark)
    ? present(id, 'hung', { ...running, canary: null, settings: null, paused: false })
    : absent(id);
};

const absent = (id: number): InstanceFact => ({
  id,
  state: 'absent',
  pid: null,
  version: null,
  canary: null,
  paused: false,
  settings: null,
  pools: null,
});

const present = (
  id: number,
  state: 'running' | 'hung',
  { mark, version, canary, paused, halted, descriptors, settings, pools }: Running,
): InstanceFact => ({ id, state, pid: mark.pid, version, canary, paused, halted, descriptors, settings, pools });

const hasAnswered = async (running: Running, patience: Patience): Promise<boolean> => {
  const look = await lookAt(running.console, running.version, patience);
  if (look === null) return false;
  const { version, canary, settings, pools, halted, paused } = look;
  // One that cannot tell whether it is paused: what we noted has to do.
  Object.assign(running, { version, canary, settings, pools, halted, paused: paused ?? running.paused });
  return true;
};

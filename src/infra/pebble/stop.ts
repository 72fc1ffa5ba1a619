/** How processes end. From 1.23 SIGTERM lets clients finish and takes no new ones; before, it cuts everybody at once. */
import type { StepOutcome } from '../../actors/model/workload.ts';
import { isAtLeast } from '../../pgbouncer/version.ts';
import { done, failed, together } from '../instances/outcome.ts';
import { wait } from '../instances/patience.ts';
import { resume } from '../instances/pause.ts';
import { stopExporterOf } from './exporters.ts';
import { PebbleError } from './trouble.ts';
import { type Found, type Instance, type OwnLogins, reached, surveyOf, type Unit } from './unit.ts';

/** Returns when the drain has begun: a process that drains has closed its listeners. */
export const drain = async (unit: Unit, instances: readonly Instance[], signal: AbortSignal): Promise<StepOutcome> => {
  const survey = await surveyOf(unit, signal);
  const found = [...survey.instances, ...survey.surplus].filter(({ instance }) => instances.includes(instance));
  const logins = await unit.logins(signal);
  return together(await Promise.all(found.map((one) => drainOne(unit, one, logins, signal))));
};

/** Everybody still there is cut, those in a transaction last. A unit that stops as a whole leaves nothing of an earlier life either. */
export const stop = async (unit: Unit, instances: readonly Instance[], signal: AbortSignal): Promise<StepOutcome> => {
  const survey = await surveyOf(unit, signal);
  const found = survey.instances.filter(({ instance }) => instances.includes(instance));
  const all = instances.length === unit.instances.length ? [...found, ...survey.surplus] : found;
  return stopAll(unit, all, signal);
};

/** For good: who cannot be drained is stopped, because it would go on with files that nobody keeps up to date. */
export const retire = async (unit: Unit, surplus: readonly Found[], signal: AbortSignal): Promise<StepOutcome> => {
  const logins = await unit.logins(signal);
  const drained = together(await Promise.all(surplus.map((one) => drainOne(unit, one, logins, signal))));
  const deaf = surplus.filter(({ instance }) => !instance.draining);
  const stopped = await stopAll(unit, deaf, signal);
  return drained.kind === 'done' ? stopped : drained;
};

const drainOne = async (unit: Unit, found: Found, logins: OwnLogins, signal: AbortSignal): Promise<StepOutcome> => {
  const { instance, process } = found;
  if (process === null || instance.draining) return done;
  const one = reached(unit, found, logins);
  // A second SIGTERM would cut everybody: what no longer listens has begun to drain already, told by an earlier coordinator.
  if (one === null) return begun(instance);
  await stopExporterOf(unit.pebble, instance.place, signal);
  const version = await instance.version(one.console, unit.patience.answer, signal);
  if (version === null) return failed(`cannot drain instance ${instance.id}: its console does not answer`);
  if (!isAtLeast(version, '1.23')) return done;
  const resumed = await resume(unit.patience, [one], signal); // A paused one would never let go of its clients.
  if (resumed.kind !== 'done') return resumed;
  begun(instance);
  await unit.pebble.signal('SIGTERM', [instance.place.service], signal);
  const closed = await within(unit, 2_000, signal, async () => (await find(unit, instance, signal))?.port === null);
  return closed ? done : failed(`cannot drain instance ${instance.id}: it goes on listening after SIGTERM`);
};

const begun = (instance: Instance): StepOutcome => {
  instance.draining = true;
  instance.closeConsole();
  return done;
};

/**
 * SIGINT lets transactions end, for a second. Then Pebble ends them, by SIGTERM, which after SIGINT cuts off who is left (1.18, 1.24,
 * 1.26), and by SIGKILL. Its own stop also ends a service that waits to be started again.
 */
const stopAll = async (unit: Unit, found: readonly Found[], signal: AbortSignal): Promise<StepOutcome> => {
  const { pebble } = unit;
  const names = found.map(({ instance }) => instance.place.service);
  if (names.length === 0) return done;
  for (const { instance } of found) instance.closeConsole();
  const services = await pebble.services(names, signal);
  const known = services.map(({ name }) => name);
  const active = services.flatMap(({ name, current }) => (current === 'active' ? [name] : []));
  await Promise.all(active.map((name) => interrupt(unit, name, signal)));
  const heeding = found.filter(({ instance, port }) => port !== null && active.includes(instance.place.service));
  await within(unit, heeding.length === 0 ? 0 : 1_000, signal, async () => !(await anyRuns(unit, heeding, signal)));
  if (known.length > 0) {
    const ended = await hasEnded(unit, known, signal);
    if (ended.kind !== 'done') return ended;
  }
  const left = (await Promise.all(found.map(({ instance }) => find(unit, instance, signal)))).flatMap((one) =>
    one?.process === null || one === undefined ? [] : [one],
  );
  return together(
    left.map(({ instance, process }) =>
      failed(
        `cannot stop instance ${instance.id}: Pebble does not know process ${process?.pid ?? 0} any more; restart the workload container`,
      ),
    ),
  );
};

const interrupt = async ({ pebble }: Unit, service: string, signal: AbortSignal): Promise<void> => {
  try {
    await pebble.signal('SIGINT', [service], signal);
  } catch (cause) {
    // It has ended meanwhile.
    if (!(cause instanceof PebbleError) || cause.trouble.kind !== 'refused') throw cause;
  }
};

const hasEnded = async ({ pebble }: Unit, services: readonly string[], signal: AbortSignal): Promise<StepOutcome> => {
  try {
    await pebble.ended(await pebble.act('stop', services, signal), stopMs, signal);
    return done;
  } catch (cause) {
    if (!(cause instanceof PebbleError) || cause.trouble.kind !== 'change') throw cause;
    return failed(`cannot stop ${services.join(', ')}: ${cause.message}`);
  }
};

/** The second before SIGKILL, and Pebble's patience with what does not heed that either. */
const stopMs = 15_000;

const find = async (unit: Unit, instance: Instance, signal: AbortSignal): Promise<Found | undefined> => {
  const { instances, surplus } = await surveyOf(unit, signal);
  return [...instances, ...surplus].find((one) => one.instance === instance);
};

const anyRuns = async (unit: Unit, found: readonly Found[], signal: AbortSignal): Promise<boolean> => {
  const { instances, surplus } = await surveyOf(unit, signal);
  return [...instances, ...surplus].some(
    ({ instance, process }) => process !== null && found.some((one) => one.instance === instance),
  );
};

const within = async (
  { clock }: Unit,
  ms: number,
  signal: AbortSignal,
  isSo: () => Promise<boolean>,
): Promise<boolean> => {
  const deadline = clock.now() + ms;
  while (!(await isSo())) {
    if (clock.now() >= deadline) return false;
    signal.throwIfAborted();
    await wait(clock, 10);
  }
  return true;
};

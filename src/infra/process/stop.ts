/** How processes end. From 1.23 SIGTERM lets clients finish and takes no new ones; before, it cuts everybody at once. */
import type { PgBouncerVersion, StepOutcome } from '../../actors/model/workload.ts';
import { isAtLeast } from '../../pgbouncer/version.ts';
import type { Instance, Running } from './instance.ts';
import { isAlive, signalTo } from '../files/process-mark.ts';
import { done, failed, together } from '../instances/outcome.ts';
import { wait } from '../instances/patience.ts';
import { resume } from '../instances/pause.ts';
import type { Unit } from './unit.ts';

/** Returns when the drain has begun: a process that drains has closed its listener. */
export const drain = async (unit: Unit, instances: readonly Instance[], signal: AbortSignal): Promise<StepOutcome> =>
  together(await Promise.all(instances.map((instance) => drainOne(unit, instance, signal))));

/** Everybody still there is cut, those in a transaction last. A unit that stops as a whole leaves nothing of an earlier life either. */
export const stop = async (unit: Unit, instances: readonly Instance[]): Promise<StepOutcome> => {
  const others = instances.length === unit.instances.length ? await unit.surplus() : [];
  return together(await Promise.all([...instances, ...others].map((instance) => stopOne(unit, instance))));
};

/** For good: who cannot be drained is stopped, because it would go on with files that nobody keeps up to date. */
export const retire = async (unit: Unit, instances: readonly Instance[], signal: AbortSignal): Promise<StepOutcome> => {
  const drained = await drain(unit, instances, signal);
  const deaf = instances.filter((instance) => instance.running()?.draining === false);
  const stopped = await Promise.all(deaf.map((instance) => stopOne(unit, instance)));
  return drained.kind === 'done' ? together(stopped) : drained;
};

const drainOne = async (unit: Unit, instance: Instance, signal: AbortSignal): Promise<StepOutcome> => {
  const running = instance.running();
  if (running === null || running.draining) return done;
  // A second SIGTERM would cut everybody: what no longer listens has begun to drain already, told by an earlier coordinator.
  if (!(await listens(instance, running))) return begun(running);
  const version = await instance.version(running, { withinMs: unit.patience.answer, signal });
  if (version === null) return failed(`cannot drain instance ${instance.id}: its console does not answer`);
  if (!canDrain(version)) return done;
  const reached = instance.reached();
  const resumed = reached === null ? done : await resume(unit.patience, [reached], signal); // A paused one would never let go of its clients.
  if (resumed.kind !== 'done') return resumed;
  begun(running);
  signalTo(running.mark, 'SIGTERM');
  const closed = await within(unit, 2_000, async () => !isAlive(running.mark) || !(await listens(instance, running)));
  return closed ? done : failed(`cannot drain instance ${instance.id}: it goes on listening after SIGTERM`);
};

const listens = async (instance: Instance, running: Running): Promise<boolean> =>
  (await instance.addresses(running)).length > 0;

const begun = (running: Running): StepOutcome => {
  running.draining = true;
  running.console.close();
  return done;
};

const stopOne = async (unit: Unit, instance: Instance): Promise<StepOutcome> => {
  const running = instance.running();
  if (running === null) return done;
  running.console.close();
  const isGone = async (): Promise<boolean> => !isAlive(running.mark);
  const steps = running.silent ? [kill] : [...graceful(running.version), kill];
  for (const [signal, graceMs] of steps) {
    signalTo(running.mark, signal);
    if (await within(unit, graceMs, isGone)) return gone(instance);
  }
  return failed(`cannot stop instance ${instance.id}: process ${running.mark.pid} is still there after SIGKILL`);
};

const gone = async (instance: Instance): Promise<StepOutcome> => {
  await instance.removeRecord();
  return done;
};

const canDrain = (version: PgBouncerVersion): boolean => isAtLeast(version, '1.23');

type Signalling = readonly [signal: NodeJS.Signals, graceMs: number];

/**
 * SIGINT lets transactions end. Then whatever ends this version at once: SIGQUIT from 1.23, SIGTERM before (where SIGQUIT leaves
 * the socket behind).
 */
const graceful = (version: PgBouncerVersion | null): readonly Signalling[] => [
  ['SIGINT', 1_000],
  [version !== null && !canDrain(version) ? 'SIGTERM' : 'SIGQUIT', 1_000],
];
/** All that a frozen process heeds, or one that spins. */
const kill: Signalling = ['SIGKILL', 2_000];

const within = async ({ clock }: Unit, ms: number, isSo: () => Promise<boolean>): Promise<boolean> => {
  const deadline = clock.now() + ms;
  while (!(await isSo())) {
    if (clock.now() > deadline) return false;
    await wait(clock, 10);
  }
  return true;
};

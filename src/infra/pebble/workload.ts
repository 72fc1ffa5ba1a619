/**
 * The workload as services of a Pebble in another container, which shares the network with this coordinator, and no files. The
 * coordinator is there for one hook: it keeps nothing, finds what there is, and leaves it running.
 */
import type { Step, StepOutcome, TlsMaterial } from '../../actors/model/workload.ts';
import type { Clock } from '../../actors/ports/clock.ts';
import { type ConsoleRow, type Workload, WorkloadAway, WorkloadUnavailable } from '../../actors/ports/workload.ts';
import type { Log } from '../files/log.ts';
import { isSystemError } from '../files/system-error.ts';
import { onNamed } from '../instances/named.ts';
import { failed } from '../instances/outcome.ts';
import { defaultPatience, type Patience } from '../instances/patience.ts';
import { pause, resume } from '../instances/pause.ts';
import type { Reached } from '../instances/reached.ts';
import { reconnect } from '../instances/reconnect.ts';
import type { Pebble } from './client.ts';
import { connected } from './connected.ts';
import { inspect } from './inspect.ts';
import { loginsIn } from './logins.ts';
import { directoriesOf, placesIn } from './places.ts';
import { prepare } from './prepare.ts';
import { prove } from './prove.ts';
import { reload } from './reload.ts';
import { start } from './start.ts';
import { drain, stop } from './stop.ts';
import { PebbleError } from './trouble.ts';
import { type Instance, openInstances, reached, surveyOf, type Unit } from './unit.ts';
import { verify } from './verify.ts';
import { write } from './write.ts';

export interface PebbleWorkloadOptions {
  readonly pebble: Pebble;
  /** A directory of the workload container, which is made. A short path: sockets are in it. */
  readonly stateDir: string;
  /** Path of PgBouncer in the container, or its name. */
  readonly binary: string;
  /** Account of the container that PgBouncer runs as, which it refuses to do as root; null: that of Pebble. */
  readonly user: string | null;
  readonly instances: number;
  readonly listenAddress: string;
  /** Network of the loopback in which instance 1 has address 1 for its console, and so on; nobody else uses it. `127.0.1`. */
  readonly consoleNetwork?: string;
  /** With what clients are to be served that ask for TLS, as it is known when it is asked; none: all are served without. */
  readonly tls?: () => TlsMaterial | null;
  readonly clock: Clock;
  readonly log: Log;
  readonly patience?: Partial<Patience>;
  /** How long Pebble waits before it starts again an instance that has ended. */
  readonly restartDelayMs?: number;
  /** How often Pebble looks whether clients are taken. After three times in a row when they are not the pod is not ready. */
  readonly checkPeriodMs?: number;
}

/** Nothing is asked yet: Pebble may not be there, and everything rejects with WorkloadUnavailable until it is. */
export const openPebbleWorkload = (options: PebbleWorkloadOptions): Workload => {
  const { pebble, user, clock } = options;
  const places = placesIn(options.stateDir);
  const instanceOf = openInstances(places, options.consoleNetwork ?? '127.0.1', clock);
  const instances = Array.from({ length: options.instances }, (_, index) => instanceOf(index + 1));
  const owner = user === null ? {} : { user };
  const unit: Unit = {
    ...options,
    places,
    instances,
    instanceOf,
    logins: loginsIn(pebble, places, async (signal) => {
      await pebble.makeDirectories(directoriesOf(places, [], owner), signal);
    }),
    tls: options.tls ?? (() => null),
    patience: { ...defaultPatience, ...options.patience },
    restartDelayMs: options.restartDelayMs ?? 500,
    checkPeriodMs: options.checkPeriodMs ?? 5_000,
  };
  return {
    inspect: (signal) => usable('the PgBouncers of this unit', () => inspect(unit, signal), signal),
    take: (step, signal) => usable(`the step "${step.type}"`, () => takeStep(unit, step, signal), signal),
    show: (id, what, signal) => usable(`SHOW ${what}`, () => show(unit, id, what, signal), signal),
    connected: (signal) => usable('the clients of this unit', () => connected(unit, signal), signal),
    // Pebble has no way to tell it at once: it is found by `inspect`.
    onExit: () => ({ [Symbol.dispose]: () => {} }),
    [Symbol.asyncDispose]: async () => {
      for (const instance of instances) instance.closeConsole();
    },
  };
};

type Show = Parameters<Workload['show']>[1];

const takeStep = async (unit: Unit, step: Step, signal: AbortSignal): Promise<StepOutcome> => {
  try {
    return await performStep(unit, step, signal);
  } catch (cause) {
    // What it refuses, or could not do, is known; anything else leaves open what became of the step.
    if (cause instanceof PebbleError && (cause.trouble.kind === 'refused' || cause.trouble.kind === 'change'))
      return failed(`cannot ${step.type}: ${cause.message}`);
    throw cause;
  }
};

const performStep = async (unit: Unit, step: Step, signal: AbortSignal): Promise<StepOutcome> => {
  if (step.type === 'prove' || step.type === 'write' || step.type === 'start') {
    const prepared = await prepare(unit, signal);
    if (prepared.kind !== 'done') return prepared;
  }
  switch (step.type) {
    case 'prove':
      return prove(unit, step.rendered, signal);
    case 'write':
      return write(unit, step.rendered, signal);
    case 'verify':
      return verify(unit, step.rendered, signal);
    case 'reconnect': {
      const { all } = await reachedOf(unit, step.instances, signal);
      return reconnect(unit.patience, all, step.databases, signal);
    }
    case 'start':
    case 'reload':
    case 'pause':
    case 'resume':
    case 'drain':
    case 'stop':
      return onNamed(step.type, step.instances, unit.instances, (named) => steps[step.type](unit, named, signal));
  }
};

type StepOn = (unit: Unit, instances: readonly Instance[], signal: AbortSignal) => Promise<StepOutcome>;

const pauseAll: StepOn = async (unit, instances, signal) => {
  const ids = instances.map(({ id }) => id);
  const { all, absent } = await reachedOf(unit, ids, signal);
  return pause(unit.patience, all, absent, signal);
};
const resumeAll: StepOn = async (unit, instances, signal) => {
  const ids = instances.map(({ id }) => id);
  const { all } = await reachedOf(unit, ids, signal);
  return resume(unit.patience, all, signal);
};

const steps = { start, reload, pause: pauseAll, resume: resumeAll, drain, stop } satisfies Record<string, StepOn>;

const reachedOf = async (
  unit: Unit,
  ids: readonly number[],
  signal: AbortSignal,
): Promise<{ readonly all: readonly Reached[]; readonly absent: readonly number[] }> => {
  const survey = await surveyOf(unit, signal);
  const logins = await unit.logins(signal);
  const found = survey.instances.filter(({ instance }) => ids.includes(instance.id));
  const all = found.flatMap((one) => reached(unit, one, logins) ?? []);
  return { all, absent: ids.filter((id) => all.every((one) => one.id !== id)) };
};

const show = async (unit: Unit, id: number, what: Show, signal: AbortSignal): Promise<readonly ConsoleRow[] | null> => {
  const { all } = await reachedOf(unit, [id], signal);
  const [one] = all;
  if (one === undefined) return null;
  const answer = await one.console.show(what, { withinMs: unit.patience.answer, signal });
  return answer.kind === 'answered' ? answer.value : null;
};

/** A caller that no longer wants the answer, and a Pebble that is away or of no use, are all that a workload rejects with. */
const usable = async <T>(what: string, work: () => Promise<T>, signal: AbortSignal): Promise<T> => {
  try {
    signal.throwIfAborted();
    const answer = await work();
    signal.throwIfAborted();
    return answer;
  } catch (cause) {
    if (signal.aborted) throw new WorkloadUnavailable(`${what} was cancelled`, { cause });
    if (!(cause instanceof PebbleError || isSystemError(cause))) throw cause;
    const Unavailable = comesByItself(cause) ? WorkloadAway : WorkloadUnavailable;
    throw new Unavailable(`cannot use ${what}: ${cause.message}`, { cause });
  }
};

const comesByItself = (cause: Error): boolean =>
  cause instanceof PebbleError && (cause.trouble.kind === 'away' || cause.trouble.kind === 'restarting');

/**
 * The workload as processes of this machine. The processes belong to the unit, not to this coordinator: whoever opens the same
 * state directory finds them by their marks and goes on with them, and disposing leaves them running.
 */
import type { Step, StepOutcome } from '../../actors/model/workload.ts';
import type { Clock } from '../../actors/ports/clock.ts';
import { type ConsoleRow, type Workload, WorkloadUnavailable } from '../../actors/ports/workload.ts';
import type { Log } from '../files/log.ts';
import { Binary } from './binary.ts';
import { connected } from './connected.ts';
import { inspect } from './inspect.ts';
import { Instance } from './instance.ts';
import { isSystemError } from '../files/system-error.ts';
import { obstacleOf, wordsOf } from './obstacles.ts';
import { onNamed } from '../instances/named.ts';
import { failed } from '../instances/outcome.ts';
import { defaultPatience, type Patience } from '../instances/patience.ts';
import { pause, resume } from '../instances/pause.ts';
import type { Reached } from '../instances/reached.ts';
import {
  instancePlace,
  instancesOnDisk,
  preparePlaces,
  removeForsakenProofs,
  SocketPathTooLong,
  unitPlace,
} from './places.ts';
import { probeLogin } from './probe.ts';
import { prove } from './prove.ts';
import { reconnect } from '../instances/reconnect.ts';
import { reload } from './reload.ts';
import { start } from './start.ts';
import { drain, stop } from './stop.ts';
import { TlsKeeper, type TlsSource } from './tls-keeper.ts';
import type { Unit } from './unit.ts';
import { verify } from './verify.ts';
import { write } from './write.ts';

export interface ProcessWorkloadOptions {
  readonly stateDir: string;
  /** This unit's own directory for sockets, a short path. In the state directory when it is not given. */
  readonly runDir?: string;
  /** Path of PgBouncer, or its name. */
  readonly binary: string;
  readonly instances: number;
  readonly listenAddress: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly patience?: Partial<Patience>;
  /** With what clients are served that ask for TLS; none: all are served without. */
  readonly tls?: TlsSource | null;
  /** Size at which the log of an instance is rotated. */
  readonly logLimitBytes?: number;
}

export const openProcessWorkload = async (options: ProcessWorkloadOptions): Promise<Workload> => {
  const { stateDir, runDir, clock, log, listenAddress } = options;
  const place = unitPlace(stateDir, runDir);
  const listeners = new Set<(instance: number, how: string) => void>();
  const exited = (id: number, how: string): void => listeners.forEach((listener) => listener(id, how));
  const instanceOf = (id: number): Instance => new Instance(instancePlace(place, id), { clock, log, exited });
  const instances = Array.from({ length: options.instances }, (_, index) => instanceOf(index + 1));
  const probe = await usable(`the state directory "${stateDir}"`, async () => {
    await preparePlaces(
      place,
      instances.map((instance) => instance.place),
    );
    await removeForsakenProofs(place);
    return probeLogin(place.probe);
  });
  const older = new Map<number, Instance>();
  const surplus = async (): Promise<readonly Instance[]> => {
    const ids = (await instancesOnDisk(place)).filter((id) => id > instances.length);
    for (const id of ids) older.set(id, older.get(id) ?? instanceOf(id));
    return [...older.values()].filter((instance) => instance.running() !== null);
  };
  const unit: Unit = {
    clock,
    log,
    binary: new Binary(options.binary),
    place,
    listenAddress,
    probe,
    instances,
    tls: new TlsKeeper(options.tls ?? null, place.tls),
    surplus,
    patience: { ...defaultPatience, ...options.patience },
    logLimitBytes: options.logLimitBytes ?? 8 * 1024 * 1024,
  };

  return {
    inspect: (signal) => usable('the PgBouncers of this unit', () => inspect(unit, signal), signal),
    take: (step, signal) => usable(`the step "${step.type}"`, () => takeStep(unit, step, signal), signal),
    show: (id, what, signal) => usable(`SHOW ${what}`, () => show(unit, id, what, signal), signal),
    connected: (signal) => usable('the clients of this unit', () => connected(unit, signal), signal),
    onExit: (listener) => {
      listeners.add(listener);
      return { [Symbol.dispose]: () => listeners.delete(listener) };
    },
    [Symbol.asyncDispose]: async () => {
      listeners.clear();
      for (const instance of [...instances, ...older.values()]) instance.closeConsole();
    },
  };
};

type Show = Parameters<Workload['show']>[1];

const takeStep = async (unit: Unit, step: Step, signal: AbortSignal): Promise<StepOutcome> => {
  try {
    return await performStep(unit, step, signal);
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    return failed(`cannot ${step.type}: ${wordsOf(cause)}`, obstacleOf(cause));
  }
};

const performStep = async (unit: Unit, step: Step, signal: AbortSignal): Promise<StepOutcome> => {
  // Somebody may have removed them meanwhile.
  if (step.type === 'prove' || step.type === 'write' || step.type === 'start')
    await preparePlaces(
      unit.place,
      unit.instances.map(({ place }) => place),
    );
  switch (step.type) {
    case 'prove':
      return prove(unit, step.rendered, signal);
    case 'write':
      return write(unit, step.rendered);
    case 'verify':
      return verify(unit, step.rendered, signal);
    case 'reconnect':
      return reconnect(
        unit.patience,
        reachedOf(unit.instances.filter(({ id }) => step.instances.includes(id))),
        step.databases,
        signal,
      );
    case 'start':
    case 'reload':
    case 'pause':
    case 'resume':
    case 'drain':
    case 'stop':
      return onNamed(step.type, step.instances, unit.instances, (named) => steps[step.type](unit, named, signal));
  }
};

const reachedOf = (instances: readonly Instance[]): readonly Reached[] =>
  instances.flatMap((instance) => instance.reached() ?? []);

type StepOn = (unit: Unit, instances: readonly Instance[], signal: AbortSignal) => Promise<StepOutcome>;

const pauseAll: StepOn = ({ patience }, instances, signal) => {
  const reached = reachedOf(instances);
  const absent = instances.map(({ id }) => id).filter((id) => !reached.some((one) => one.id === id));
  return pause(patience, reached, absent, signal);
};
const resumeAll: StepOn = ({ patience }, instances, signal) => resume(patience, reachedOf(instances), signal);

const steps = { start, reload, pause: pauseAll, resume: resumeAll, drain, stop } satisfies Record<string, StepOn>;

const show = async (unit: Unit, id: number, what: Show, signal: AbortSignal): Promise<readonly ConsoleRow[] | null> => {
  const running = unit.instances.find((instance) => instance.id === id)?.running() ?? null;
  if (running === null) return null;
  const answer = await running.console.show(what, { withinMs: unit.patience.answer, signal });
  if (running.draining) running.console.close();
  return answer.kind === 'answered' ? answer.value : null;
};

/** A caller that no longer wants the answer, and a state directory that is of no use, are all that a workload rejects with. */
const usable = async <T>(what: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> => {
  try {
    const answer = await work();
    signal?.throwIfAborted();
    return answer;
  } catch (cause) {
    if (signal?.aborted === true) throw new WorkloadUnavailable(`${what} was cancelled`, { cause });
    if (cause instanceof SocketPathTooLong) throw new WorkloadUnavailable(cause.message, { cause });
    if (!isSystemError(cause)) throw cause;
    throw new WorkloadUnavailable(`cannot use ${what}: ${wordsOf(cause)}`, { cause });
  }
};

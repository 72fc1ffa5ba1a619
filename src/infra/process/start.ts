import type { StepOutcome } from '../../actors/model/workload.ts';
import { listenPortOf } from '../../pgbouncer/ini.ts';
import type { Instance, Running } from './instance.ts';
import { logEnd, logSince } from './log-file.ts';
import { isAlive } from '../files/process-mark.ts';
import { done, failed, together } from './outcome.ts';
import { readOwn } from './own-file.ts';
import { addressesOf, describeHolder, holds, type Listener, listenersAt, overlaps, takesFrom } from './sockets.ts';
import { type Unit, wait } from './unit.ts';
import { lastTroubles } from './words.ts';

/** Starts what does not run. All are looked at before any is started, so that none takes the listener of the next for a stranger's. */
export const start = async (unit: Unit, instances: readonly Instance[], signal: AbortSignal): Promise<StepOutcome> => {
  const prepared = await Promise.all(instances.map((instance) => prepare(unit, instance)));
  const launched = prepared.map(async (ready) => ('instance' in ready ? launch(unit, ready, signal) : ready));
  return together(await Promise.all(launched));
};

interface Ready {
  readonly instance: Instance;
  readonly port: number;
}

const prepare = async (unit: Unit, instance: Instance): Promise<Ready | StepOutcome> => {
  await instance.adoptUnrecorded();
  const running = instance.running();
  if (running?.draining === true) return cannotStart(instance, `process ${running.mark.pid} still drains`);
  if (running !== null) return { instance, port: running.port };
  const { ini } = instance.place;
  const text = await readOwn(ini);
  const port = text === null ? null : listenPortOf(text);
  if (port === null) return cannotStart(instance, `${ini} is missing or names no listen_port`);
  const strangers = await strangersAt(unit, port, takesFrom);
  if (strangers !== null) return cannotStart(instance, strangers);
  const holder = await instance.socketHolder();
  if (holder !== null) return cannotStart(instance, holder);
  await instance.removeStaleSockets();
  return { instance, port };
};

const launch = async (unit: Unit, { instance, port }: Ready, signal: AbortSignal): Promise<StepOutcome> => {
  const since = await logEnd(instance.place.log);
  const binary = await unit.binary.path();
  if (binary === null) return cannotStart(instance, `there is no PgBouncer at "${unit.binary.name}"`);
  const spawned = instance.running() ?? (await instance.spawn(binary, port));
  const end = spawned === 'ended' ? 'ended' : await untilAnswers(unit, spawned, signal);
  if (end === 'answers') return done;
  if (end === 'silent') return cannotStart(instance, `its console does not answer within ${unit.patience.start} ms`);
  const words = lastTroubles(await logSince(instance.place.log, since));
  const strangers = await strangersAt(unit, port, overlaps);
  const reasons = [
    words === '' ? `it ended at once; see ${instance.place.log}` : words,
    ...(strangers === null ? [] : [strangers]),
  ];
  return cannotStart(instance, reasons.join('; '));
};

const untilAnswers = async (
  unit: Unit,
  { mark, console }: Running,
  signal: AbortSignal,
): Promise<'answers' | 'silent' | 'ended'> => {
  const deadline = unit.clock.now() + unit.patience.start;
  for (;;) {
    const answer = await console.show('version', { withinMs: unit.patience.answer, signal });
    if (answer.kind === 'answered') return 'answers';
    if (!isAlive(mark)) return 'ended';
    if (unit.clock.now() > deadline || signal.aborted) return 'silent';
    await wait(unit.clock, 5);
  }
};

/** Who else holds our address, as a clause: with `so_reuseport` the kernel would share it without a word. */
const strangersAt = async (
  unit: Unit,
  port: number,
  isInTheWay: (addresses: readonly string[], listener: Listener) => boolean,
): Promise<string | null> => {
  const [addresses, listeners] = await Promise.all([addressesOf(unit.listenAddress), listenersAt(port)]);
  const ours = [...unit.instances, ...(await unit.surplus())].flatMap((instance) => instance.running()?.mark.pid ?? []);
  const strangers = listeners.filter(
    (listener) => isInTheWay(addresses, listener) && !ours.some((pid) => holds(pid, new Set([listener.inode]))),
  );
  if (strangers.length === 0) return null;
  const holders = strangers.map((stranger) => `${stranger.address}:${port} is held by ${describeHolder(stranger)}`);
  return [...new Set(holders)].join(', ');
};

const cannotStart = (instance: Instance, reason: string): StepOutcome =>
  failed(`cannot start instance ${instance.id}: ${reason}`);

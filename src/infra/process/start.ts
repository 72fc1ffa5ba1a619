import type { Obstacle, StepOutcome } from '../../actors/model/workload.ts';
import { listenPortOf } from '../../pgbouncer/ini.ts';
import type { Instance, Running } from './instance.ts';
import { logEnd, logSince } from './log-file.ts';
import { isAlive } from '../files/process-mark.ts';
import { done, failed, together } from '../instances/outcome.ts';
import { wait } from '../instances/patience.ts';
import { readOwn } from './own-file.ts';
import { missingAddress } from '../instances/own-address.ts';
import { overlaps, takesFrom } from '../instances/sockets.ts';
import { strangersAt } from './strangers.ts';
import type { Unit } from './unit.ts';
import { lastTroubles } from '../instances/words.ts';

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
  if (running !== null && (await instance.isReachable(running))) return { instance, port: running.port };
  if (running !== null) return cannotStart(instance, `process ${running.mark.pid} is there yet and out of reach`);
  const { ini } = instance.place;
  const text = await readOwn(ini);
  const port = text === null ? null : listenPortOf(text);
  if (port === null) return cannotStart(instance, `${ini} is missing or names no listen_port`);
  const strangers = await strangersAt(unit, port, takesFrom);
  if (strangers !== null) return cannotStart(instance, strangers, 'address');
  const missing = await missingAddress(unit.listenAddress);
  if (missing !== null) return cannotStart(instance, missing, 'listen-address');
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
  return strangers === null
    ? cannotStart(instance, reasons.join('; '))
    : cannotStart(instance, reasons.join('; '), 'address');
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

const cannotStart = (instance: Instance, reason: string, obstacle?: Obstacle): StepOutcome =>
  failed(`cannot start instance ${instance.id}: ${reason}`, obstacle);

import type { Obstacle, StepOutcome } from '../../actors/model/workload.ts';
import { listenPortOf } from '../../pgbouncer/ini.ts';
import { done, failed, together } from '../instances/outcome.ts';
import { missingAddress } from '../instances/own-address.ts';
import { wait } from '../instances/patience.ts';
import { addressesOf, overlaps, takesFrom } from '../instances/sockets.ts';
import { lastTroubles } from '../instances/words.ts';
import { textOf } from './files.ts';
import { type Door, layerLabel, layerOf } from './layer.ts';
import { findProgram } from './program.ts';
import { strangersAt } from './strangers.ts';
import { PebbleError } from './trouble.ts';
import { type Found, type Instance, reached, type Survey, surveyOf, type Unit } from './unit.ts';
import { saidSince } from './words.ts';

/** Starts what does not run. All are looked at before any is started, so that none takes the listener of the next for a stranger's. */
export const start = async (unit: Unit, instances: readonly Instance[], signal: AbortSignal): Promise<StepOutcome> => {
  const survey = await surveyOf(unit, signal);
  const found = survey.instances.filter(({ instance }) => instances.includes(instance));
  const prepared = await Promise.all(found.map((one) => readied(unit, survey, one, signal)));
  const [first, ...others] = prepared.flatMap((one) => ('instance' in one ? [one] : []));
  const refusals = prepared.flatMap((one) => ('instance' in one ? [] : [one]));
  return together([
    ...refusals,
    ...(first === undefined ? [] : [await launch(unit, [first, ...others], survey, signal)]),
  ]);
};

interface Ready {
  readonly instance: Instance;
  readonly port: number;
}

const readied = async (unit: Unit, survey: Survey, found: Found, signal: AbortSignal): Promise<Ready | StepOutcome> => {
  const { instance, process, port: servedAt } = found;
  if (process !== null && servedAt !== null) return done;
  if (process !== null && instance.draining) return cannotStart(instance, `process ${process.pid} still drains`);
  if (process !== null) return cannotStart(instance, `process ${process.pid} is there yet and out of reach`);
  const { ini, socketDir } = instance.place;
  const [read] = await unit.pebble.readFiles([ini], signal);
  const text = textOf(read);
  const port = text === null ? null : listenPortOf(text);
  if (port === null) return cannotStart(instance, `${ini} is missing or names no listen_port`);
  const strangers = await strangersAt(unit, survey, port, takesFrom);
  if (strangers !== null) return cannotStart(instance, strangers, 'address');
  const missing = await missingAddress(unit.listenAddress);
  if (missing !== null) return cannotStart(instance, missing, 'listen-address');
  // What a process leaves behind that had no time to clean up.
  const stale = (await unit.pebble.listFiles(socketDir, signal, '.s.PGSQL.*')) ?? [];
  await unit.pebble.removePaths(
    stale.map(({ path }) => ({ path, recursive: true })),
    signal,
  );
  return { instance, port };
};

const launch = async (
  unit: Unit,
  ready: readonly [Ready, ...Ready[]],
  survey: Survey,
  signal: AbortSignal,
): Promise<StepOutcome> => {
  const { pebble, clock } = unit;
  const program = await findProgram(unit, signal);
  if (program === null) return failed(`cannot start anything: there is no PgBouncer at "${unit.binary}"`);
  // Pebble may have started anew, and knows nothing then.
  await pebble.addLayer(layerLabel, layerOf(unit, program.path, await doorOf(unit, ready, survey)), signal);
  const since = clock.wall();
  const change = await pebble.act(
    'start',
    ready.map(({ instance }) => instance.place.service),
    signal,
  );
  using changing = watch(unit, change, signal);
  const outcomes = ready.map(async (one) => {
    const end = await untilAnswers(unit, one, changing, signal);
    return end === 'answers' ? done : giveUp(unit, one, end, since, signal);
  });
  return together(await Promise.all(outcomes));
};

/** While instances move to another port one after the other, clients are taken where one is that serves already. */
const doorOf = async (
  { listenAddress }: Unit,
  [{ port }]: readonly [Ready, ...Ready[]],
  { instances }: Survey,
): Promise<Door> => {
  const [address = '0.0.0.0'] = await addressesOf(listenAddress);
  const serving = instances.find((one) => one.port !== null);
  return { host: loopbacks.get(address) ?? address, port: serving?.port ?? port };
};

const loopbacks: ReadonlyMap<string, string> = new Map([
  ['0.0.0.0', '127.0.0.1'],
  ['::', '::1'],
]);

/** Pebble waits for a second whether what it started goes on: somebody who answers before that need not be waited for. */
const watch = ({ pebble, patience }: Unit, change: string, signal: AbortSignal) => {
  const stop = new AbortController();
  const state: { failed: string | null } = { failed: null };
  pebble.ended(change, patience.start, AbortSignal.any([signal, stop.signal])).catch((cause: unknown) => {
    if (cause instanceof PebbleError && cause.trouble.kind === 'change') state.failed = cause.message;
  });
  return { state, [Symbol.dispose]: () => stop.abort() };
};

const untilAnswers = async (
  unit: Unit,
  { instance }: Ready,
  { state }: ReturnType<typeof watch>,
  signal: AbortSignal,
): Promise<'answers' | 'silent' | 'ended'> => {
  const { clock, patience } = unit;
  const deadline = clock.now() + patience.start;
  const logins = await unit.logins(signal);
  for (;;) {
    const found = (await surveyOf(unit, signal)).instances.find((one) => one.instance === instance);
    const console = found === undefined ? null : reached(unit, found, logins);
    if (console !== null) {
      const version = await instance.version(console.console, patience.answer, signal);
      if (version !== null) return 'answers';
    }
    if (found?.process === null && state.failed !== null) return 'ended';
    if (clock.now() > deadline) return 'silent';
    signal.throwIfAborted();
    await wait(clock, 20);
  }
};

const giveUp = async (
  unit: Unit,
  { instance, port }: Ready,
  end: 'silent' | 'ended',
  since: number,
  signal: AbortSignal,
): Promise<StepOutcome> => {
  const { service } = instance.place;
  const words = lastTroubles(await saidSince(unit, service, since, signal));
  // Pebble would go on trying: whether it makes sense to try again is not its to say.
  await unit.pebble.ended(await unit.pebble.act('stop', [service], signal), unit.patience.start, signal);
  if (end === 'silent') return cannotStart(instance, `its console does not answer within ${unit.patience.start} ms`);
  const strangers = await strangersAt(unit, await surveyOf(unit, signal), port, overlaps);
  const said = words === '' ? `it ended at once; see the log of the service ${service}` : words;
  return strangers === null ? cannotStart(instance, said) : cannotStart(instance, `${said}; ${strangers}`, 'address');
};

const cannotStart = (instance: Instance, reason: string, obstacle?: Obstacle): StepOutcome =>
  failed(`cannot start instance ${instance.id}: ${reason}`, obstacle);

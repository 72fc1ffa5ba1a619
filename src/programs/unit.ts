import { randomBytes } from 'node:crypto';
import { chown, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import { type Running, runOnNact } from '../actors/kit/on-nact.ts';
import { startTicker } from '../actors/kit/ticker.ts';
import { createTrace } from '../actors/kit/trace.ts';
import type { Hook } from '../actors/model/hook.ts';
import { type Nonce, type UnitName, unitNumberOf } from '../actors/model/ids.ts';
import { type Remark, remarksNew } from '../actors/model/remark.ts';
import { Secret } from '../actors/model/secret.ts';
import { lack } from '../actors/model/wait-catalogue.ts';
import type { TraceEntry } from '../actors/model/status.ts';
import type { Backplane } from '../actors/ports/backplane.ts';
import type { Fleet } from '../actors/ports/fleet.ts';
import type { Clock } from '../actors/ports/clock.ts';
import { createSystemClock } from '../infra/clock/system-clock.ts';
import { createCredentials } from '../infra/credentials/credentials.ts';
import { crashLoopIn, forgetDefects, noteDefect, quietMs, readDefects } from '../infra/files/defects.ts';
import { unitDirectory } from '../infra/files/ledger.ts';
import { ensureSealKey, loadSealKey, type SealKey } from '../infra/files/seal.ts';
import type { LoadedFleet } from '../infra/fleet-file/load.ts';
import { openApi } from '../infra/http/server.ts';
import { serviceAccount } from '../infra/local/service-user.ts';
import { openEmbeddedBackplane } from '../infra/memory/backplane-embedded.ts';
import { openPostgres } from '../infra/postgres/postgres.ts';
import { isSystemError } from '../infra/files/system-error.ts';
import { wordsOf } from '../infra/process/obstacles.ts';
import { openProcessWorkload } from '../infra/process/workload.ts';
import { openRedisBackplane } from '../infra/redis/backplane.ts';
import type { UnitProcessSettings } from '../settings.ts';
import { version } from '../version.ts';
import { createCast } from './cast.ts';
import { createCallers, createFleet } from './fleet.ts';
import { loadSeed, plant } from './seed.ts';
import type { Signals, Told } from './signals.ts';

/** For whoever starts a unit. */
export { BadFleetFile } from './seed.ts';

/** Longest time from the signal to the end, beyond what draining was given. */
const farewellMs = 10_000;
const tickMs = 250;
/** As sysexits has it: a defect of ours; whoever supervises us starts us again, and the instances never noticed. */
const exitDefect = 70;

/**
 * A unit until it is told to stop: settings → adapters → actors → API → signals → exit code.
 * Rejects with an Error of one sentence when it cannot start. `castOf`: who plays the actors.
 *
 * A defect ends it, and its supervisor starts it again. After the third within a minute it only observes: what the defect is about
 * may be in the store or in our memory, and crashing on would help nobody. It tries again after a quiet time, or once it was stopped.
 */
export const runUnit = async (
  settings: UnitProcessSettings,
  signals: Signals,
  castOf = createCast,
): Promise<number> => {
  const secrets = await prepare(settings);
  const log = pino({ level: settings.logLevel, base: null }, pino.destination({ fd: 2, sync: true }));
  const clock = createSystemClock();
  await using backplane = await granted(`use the state directory "${settings.stateDir}"`, () =>
    openBackplane(settings, secrets, clock, log),
  );
  const { unit: self } = backplane;
  const unitLog = log.child({ unit: self });
  const stateDir = unitDirectory(settings.stateDir, self);
  const loop = crashLoopIn(readDefects(stateDir), clock.wall());
  const until = new Date((loop?.at(-1)?.at ?? 0) + quietMs).toISOString();
  const observeOnly = loop === null ? null : lack.observeOnly({ self, defects: loop, until, pid: process.pid });
  if (observeOnly !== null) unitLog.error({ reason: observeOnly.message }, 'observe-only');
  await using workload = await openProcessWorkload({
    stateDir,
    runDir: join(settings.runDir, self.replace('/', '-')),
    binary: settings.pgbouncer,
    instances: settings.instances,
    listenAddress: settings.listenAddress,
    tls: settings.tls,
    clock,
    log: unitLog.child({ component: 'workload' }),
  });
  const { application } = settings;
  await using postgres = openPostgres({ application, clock, log: unitLog.child({ component: 'postgres' }) });
  const callers = createCallers();
  const cast = castOf(
    {
      application,
      self,
      nonce: backplane.nonce,
      pid: process.pid,
      version,
      advertise: settings.advertise,
      endpoints: null,
      leaseTtlMs: settings.leaseTtlMs,
      drainDelayMs: settings.drainDelayMs,
      drainDeadlineMs: settings.drainDeadlineMs,
      departureGraceMs: settings.departureGraceMs,
      leaveAs: settings.leaveOnStop ? 'departed' : 'down',
      usageMs: 5_000,
      rejoinMs: 5_000,
      observeOnly,
    },
    { backplane, workload, postgres, credentials: createCredentials(), callers },
  );
  const onEntry = (entry: TraceEntry): void => unitLog.trace(entry, 'decision');
  const trace = createTrace(clock, undefined, unitLog.isLevelEnabled('trace') ? onEntry : undefined);
  const ended = Promise.withResolvers<number>();
  const defect = (where: string, cause: unknown): void => {
    const incident = randomBytes(4).toString('hex');
    unitLog.fatal({ incident, actor: where, err: cause }, 'defect');
    const message = cause instanceof Error ? cause.message : String(cause);
    try {
      noteDefect(stateDir, { at: clock.wall(), incident, where, message });
    } catch (trouble) {
      unitLog.error({ err: trouble }, 'the defect could not be noted');
    }
    ended.resolve(exitDefect);
  };
  const running = runOnNact(cast, {
    clock,
    trace,
    // Who observes goes on with the actors that are left: its instances and its API are worth more than one of them.
    onDefect: (actor, cause) =>
      observeOnly === null ? defect(actor, cause) : unitLog.error({ actor, err: cause }, 'defect while observing'),
  });
  using _strays = onStrays((cause) => defect('program', cause));
  // Also when the API cannot be opened: no actor outlives the program's decision to end.
  await using _running = { [Symbol.asyncDispose]: () => running.stop() };
  const kind = settings.backplane === null ? 'embedded' : 'redis';
  const { departureGraceMs } = settings;
  const view = { application, self, pid: process.pid, version, backplane: kind, departureGraceMs };
  const fleet = createFleet({
    running,
    callers,
    workload,
    clock,
    trace,
    unitState: () => running.stateOf('unit'),
    view,
    observeOnly: observeOnly?.message ?? null,
  });

  const { memory, published, losses: forgotten } = await backplane.recall();
  const losses = [...secrets.losses, ...forgotten];
  const wall = clock.wall();
  running.send(
    ['config', { type: 'recalled', memory, published, wall }],
    ['client', { type: 'recalled', memory, published, wall }],
    ['unit', { type: 'recalled', memory, losses, wall }],
    ['workload', { type: 'recalled', verified: memory.verified, published }],
    ['unit', { type: 'hookArrived', hook: { type: 'start' } }],
  );
  {
    using _hints = backplane.onHint(() => running.send(['unit', { type: 'hinted' }]));
    using _exits = workload.onExit((instance, how) =>
      running.send(['unit', { type: 'instanceExited', instance, how }]),
    );
    using _ticks = startTicker(clock, tickMs, () => running.send(['unit', { type: 'ticked', wall: clock.wall() }]));
    using _log = logStatus(running, unitLog);
    await using _api = await openApi({
      fleet,
      socket: join(settings.runDir, `${self.replace('/', '-')}.sock`),
      tcp:
        settings.api === null
          ? null
          : { ...settings.api, onTroubles: (troubles) => running.send(['unit', { type: 'apiTold', troubles }]) },
      log: unitLog.child({ component: 'api' }),
      version,
    });
    using _seeding = observeOnly === null ? seeding(fleet, settings, secrets.seed, self, clock, unitLog) : null;
    let told: Told['type'] | null = null;
    // Who is told to stop while it hands over stops.
    const isOvertaken = (hook: Hook): boolean => hook.type === 'handOver' && told === 'stop';
    const leave = (hook: Hook): void =>
      void farewell(running, hook, settings, clock, (code) => isOvertaken(hook) || ended.resolve(code));
    using listening = signals.listen((hook) => {
      if (told === 'stop') {
        if (hook.type === 'stop') running.send(['unit', { type: 'hookArrived', hook: { type: 'stopNow' } }]);
        return;
      }
      if (told === hook.type) return;
      told = hook.type;
      // Who only observes has no leadership to hand over, nor anybody who would say that it is done.
      if (hook.type === 'handOver' && observeOnly !== null) return ended.resolve(0);
      running.send(['unit', { type: 'hookArrived', hook }]);
      leave(hook);
    });
    using _asked = onDeparture(running, () => leave({ type: 'remove' }));
    using _again = observeOnly === null ? null : clock.after(quietMs, () => ended.resolve(exitDefect));
    const code = await ended.promise;
    listening[Symbol.dispose]();
    if (code === 0) forgetDefects(stateDir);
    unitLog.info({ code }, 'ending');
    return code;
  }
};

/** What nobody caught is a defect too. */
const onStrays = (caught: (cause: unknown) => void): Disposable => {
  process.on('uncaughtException', caught).on('unhandledRejection', caught);
  return {
    [Symbol.dispose]: () => {
      process.off('uncaughtException', caught).off('unhandledRejection', caught);
    },
  };
};

interface Secrets {
  readonly password: Secret | null;
  readonly key: SealKey;
  readonly losses: readonly string[];
  readonly seed: LoadedFleet | null;
}

/** While we may still be root: directories for the service account, secrets read, then root is given up for good. */
const prepare = async (settings: UnitProcessSettings): Promise<Secrets> => {
  const account = await serviceAccount(settings.user);
  for (const [directory, mode] of [
    [settings.stateDir, 0o700],
    [settings.runDir, 0o750],
  ] as const) {
    await granted(`use the directory "${directory}"`, async () => {
      await mkdir(directory, { recursive: true, mode });
      if (process.getuid?.() === 0) await chown(directory, account.uid, account.gid);
    });
  }
  const password =
    settings.backplanePasswordFile === null
      ? null
      : await secretFile(settings.backplanePasswordFile, "the store's password");
  const given = settings.secretKeyFile === null ? null : await loadSealKey(settings.secretKeyFile);
  const seed = settings.fleet === null ? null : await loadSeed(settings.fleet, settings.application);
  if (process.getuid?.() === 0) {
    process.setgroups?.([account.gid]);
    process.setgid?.(account.gid);
    process.setuid?.(account.uid);
  }
  process.chdir('/');
  process.umask(0o027);
  const kept =
    given === null
      ? await granted(`keep the secret key in "${settings.stateDir}"`, () =>
          ensureSealKey(join(settings.stateDir, 'secret.key')),
        )
      : { key: given, losses: [] };
  return { password, seed, ...kept };
};

/** What the system refuses at the start is a sentence with its way out, and no defect. */
const granted = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    throw new Error(`cannot ${what}: ${wordsOf(cause)}`, { cause });
  }
};

const secretFile = async (path: string, what: string): Promise<Secret> => {
  try {
    return new Secret((await readFile(path, 'utf8')).trimEnd());
  } catch (cause) {
    throw new Error(
      `cannot read ${what} from ${path}: ${cause instanceof Error ? cause.message : String(cause)}; name a file that this program may read`,
      { cause },
    );
  }
};

/** As long as it takes, beside everything else: a store that is away keeps no unit from serving. */
const seeding = (
  fleet: Fleet,
  { fleet: file }: UnitProcessSettings,
  seed: LoadedFleet | null,
  self: UnitName,
  clock: Clock,
  log: Logger,
): Disposable => {
  const over = new AbortController();
  if (file !== null && seed !== null) void plant(fleet, { file, seed, author: self, clock, log, signal: over.signal });
  return { [Symbol.dispose]: () => over.abort() };
};

type UnitBackplane = Backplane & { readonly unit: UnitName; readonly nonce: Nonce };

const openBackplane = (
  settings: UnitProcessSettings,
  { key, password }: Secrets,
  clock: Clock,
  log: Logger,
): Promise<UnitBackplane> => {
  const { application, instances, stateDir, unit } = settings;
  const common = { application, instances, stateDir, sealKey: key, clock, log: log.child({ component: 'backplane' }) };
  return settings.backplane === null
    ? openEmbeddedBackplane({ ...common, number: unit === null ? 0 : unitNumberOf(unit) })
    : openRedisBackplane({ ...common, url: settings.backplane, password, ca: null, unit: unit ?? 'claim' });
};

/** A line for each transition a person cares about; what was decided in between is in the trace. */
const logStatus = (running: Running<ReturnType<typeof createCast>>, log: Logger): Disposable => {
  let last = '';
  let remarked: readonly Remark[] = [];
  let left = '';
  let epoch: number | null = null;
  return running.onDecided((actor) => {
    if (actor === 'unit') {
      const { status, report } = running.stateOf('unit');
      const { word, message, waits } = status;
      const line = `${word} ${message}`;
      const wait = waits.find((one) => one.message === message);
      // Who is blocked needs a person, which is what an error in a log says.
      if (line !== last)
        log[word === 'blocked' ? 'error' : 'info'](
          { status: word, reason: message, wait: wait?.id, on: wait?.on, generation: report?.verified?.generation },
          'status',
        );
      last = line;
      for (const { id, message: reason } of remarksNew(remarked, status.remarks))
        log.warn({ remark: id, reason }, 'remark');
      remarked = status.remarks;
    }
    if (actor === 'workload') {
      const { leaving } = running.stateOf('workload');
      const change = leaving === null ? '' : `${leaving.phase} ${leaving.cut.length}`;
      if (leaving !== null && change !== left) {
        const { phase, clients, cut } = leaving;
        if (phase === 'draining' && cut.length === 0) log.info({ clients: clients?.length }, 'draining');
        if (phase === 'draining' && cut.length > 0) log.warn({ clients: cut }, 'clients are cut');
        if (phase === 'stopped') log.info({ cut: cut.length }, 'the instances have ended');
      }
      left = change;
    }
    if (actor === 'leader') {
      const now = running.stateOf('leader').leadership?.epoch ?? null;
      if (now !== epoch) log.info({ epoch: now ?? epoch }, now === null ? 'leadership ended' : 'leadership taken');
      epoch = now;
    }
  });
};

/** The operator asked for the departure of this unit, through the store. */
const onDeparture = (running: Running<ReturnType<typeof createCast>>, begun: () => void): Disposable => {
  let isTold = false;
  return running.onDecided((actor) => {
    if (actor !== 'unit' || isTold || !running.stateOf('unit').departing) return;
    isTold = true;
    begun();
  });
};

/** Ends when the actors have said farewell, or when their time is over. */
const farewell = async (
  running: Running<ReturnType<typeof createCast>>,
  hook: Hook,
  { drainDelayMs, drainDeadlineMs }: UnitProcessSettings,
  clock: Clock,
  end: (code: number) => void,
): Promise<void> => {
  const said = () =>
    hook.type === 'handOver'
      ? running.stateOf('leader').stopping && running.stateOf('leader').asking === null
      : running.stateOf('unit').phase === 'left';
  const { promise, resolve } = Promise.withResolvers<void>();
  using _late = clock.after(drainDelayMs + drainDeadlineMs + farewellMs, resolve);
  using _decided = running.onDecided(() => said() && resolve());
  await promise;
  end(0);
};

/** Fleets of units on one store, the same for every adapter; time passes only when a test says so. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { type Application, type Millis, type Nonce, type UnitName, unitNameOf } from '../../src/actors/model/ids.ts';
import type { WallMs } from '../../src/actors/model/ids.ts';
import type { Leadership } from '../../src/actors/model/leadership.ts';
import { Secret } from '../../src/actors/model/secret.ts';
import type { Snapshot } from '../../src/actors/model/snapshot.ts';
import type { Backplane } from '../../src/actors/ports/backplane.ts';
import type { Clock } from '../../src/actors/ports/clock.ts';
import { createSystemClock } from '../../src/infra/clock/system-clock.ts';
import type { Log } from '../../src/infra/files/log.ts';
import { SealKey } from '../../src/infra/files/seal.ts';
import { JujuBackplane } from '../../src/infra/juju/backplane/backplane.ts';
import type { Occasion } from '../../src/infra/juju/backplane/reading.ts';
import { UnitView } from '../../src/infra/juju/backplane/unit-view.ts';
import { MemoryHub, MemoryKeeper, openMemoryBackplane } from '../../src/infra/memory/backplane.ts';
import { openEmbeddedBackplane } from '../../src/infra/memory/backplane-embedded.ts';
import { emptyStore } from '../../src/infra/memory/backplane-store.ts';
import { openRedisBackplane } from '../../src/infra/redis/backplane.ts';
import type { RedisBackplaneOptions } from '../../src/infra/redis/options.ts';
import { MemoryJuju } from '../support/juju-memory.ts';
import { freshApplication, type RunningRedis, testDirectory } from '../support/servers.ts';

export type UnitBackplane = Backplane & { readonly unit: UnitName; readonly nonce: Nonce };

export interface Fleet {
  readonly application: Application;
  /** Several units may take part. */
  readonly shared: boolean;
  /** A new process of a unit, on the same state directory as its last one; `elsewhere`: on another machine. */
  start(number: number, how?: { readonly elsewhere?: boolean; readonly instances?: number }): Promise<UnitBackplane>;
  /** The store's clock moves on. */
  pass(ms: number): Promise<void>;
  end(): Promise<void>;
}

/** Long against what a test takes on a busy machine; time passes by `pass`. */
export const ttl = 50_000 as Millis;
const deadAfterMs = 40_000;
/** For an answer of the store, where what a test is about is not how soon one is missed: a machine may stand still for a while. */
export const patienceMs = 15_000;

/** What a published spec and a verdict come with, where that is not what a test is about. */
export const about = { intentVersion: 1, reason: 'test' };
export const verdict = { covers: 1, good: null, refused: null };

/** Until it is so; the deadline of the test ends it otherwise. */
export const until = async (what: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await what())) await delay(20);
};

/** What a unit sees; it must be allowed to. */
export const seenBy = async (backplane: Backplane): Promise<Snapshot> => {
  const observation = await backplane.observe();
  if (observation.kind === 'refused') throw new Error(`refused: ${observation.reason}`);
  return observation.snapshot;
};

/** Takes the lease, which must be free. */
export const lead = async (backplane: UnitBackplane): Promise<Leadership> => {
  const result = await backplane.acquireLease(ttl);
  if (result.kind !== 'granted') throw new Error(`the lease is held by ${result.by}`);
  return { epoch: result.epoch, nonce: backplane.nonce, holder: backplane.unit, until: Number.POSITIVE_INFINITY };
};

export const sealKey = new SealKey(Buffer.alloc(32, 7));

export interface LogLine {
  readonly level: keyof Log;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}
export const createLog = (): Log & { readonly lines: readonly LogLine[] } => {
  const lines: LogLine[] = [];
  const at =
    (level: keyof Log) =>
    (fields: Readonly<Record<string, unknown>>, message: string): void => {
      lines.push({ level, fields, message });
    };
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
};

/** A clock that stands until it is moved. */
export const createStandingClock = (): Clock & { advance(ms: number): void } => {
  let now = 1_000;
  return {
    now: () => now,
    wall: () => (1_700_000_000_000 + now) as WallMs,
    after: () => {
      throw new Error('nobody waits on this clock');
    },
    advance: (ms) => {
      now += ms;
    },
  };
};

export const memoryFleet = async (): Promise<Fleet> => {
  const application = freshApplication();
  const clock = createStandingClock();
  const hub = new MemoryHub(clock, emptyStore(deadAfterMs));
  const disks = new Map<number, MemoryKeeper>();
  return {
    application,
    shared: true,
    start: async (number, { elsewhere = false, instances = 2 } = {}) => {
      const keeper = elsewhere ? new MemoryKeeper() : (disks.get(number) ?? new MemoryKeeper());
      if (!elsewhere) disks.set(number, keeper);
      const nonce = randomBytes(16).toString('hex') as Nonce;
      return openMemoryBackplane({
        hub,
        unit: unitNameOf(application, number),
        instances,
        nonce,
        keeper: keeper.started(),
      });
    },
    pass: async (ms) => clock.advance(ms),
    end: async () => {},
  };
};

export const embeddedFleet = async (): Promise<Fleet> => {
  const application = freshApplication();
  const stateDir = await testDirectory('embedded-');
  const clock = createStandingClock();
  return {
    application,
    shared: false,
    start: (number, { instances = 2 } = {}) =>
      openEmbeddedBackplane({ application, number, instances, stateDir, sealKey, clock, log: createLog() }),
    pass: async (ms) => clock.advance(ms),
    end: async () => {},
  };
};

export interface JujuFleet extends Fleet {
  readonly juju: MemoryJuju;
  /** A dispatch of a unit, for any occasion; those before it have ended well. It is about its peers when some came or went. */
  dispatch(number: number, occasion?: Partial<Occasion>): Promise<JujuBackplane>;
  /** The dispatch under way ends: well, or with nothing of it stored. */
  end(how?: 'well' | 'failed'): Promise<void>;
  /** Hook tools that the last dispatch called. */
  readonly calls: readonly string[];
}

export const jujuFleet = async (): Promise<JujuFleet> => {
  const application = freshApplication();
  const clock = createStandingClock();
  const juju = new MemoryJuju(application);
  let under: { readonly backplane: JujuBackplane; readonly commit: () => void } | null = null;
  let calls: readonly string[] = [];
  const seen = new Map<string, string>();
  const end = async (how: 'well' | 'failed' = 'well'): Promise<void> => {
    await under?.backplane.flush();
    if (how === 'well') under?.commit();
    under = null;
  };
  const dispatch = async (
    number: number,
    { instances = 2, ...occasion }: Partial<Occasion> & { readonly instances?: number } = {},
  ): Promise<JujuBackplane> => {
    await end();
    const unit = unitNameOf(application, number);
    if (!juju.units.has(unit)) juju.addUnit(unit);
    const dispatched = juju.dispatch(unit);
    calls = dispatched.calls;
    const { peers } = juju;
    const units = [...juju.units].join(' ');
    const hasNews = peers !== undefined && seen.get(unit) !== units;
    seen.set(unit, units);
    const about = hasNews ? { relation: peers, remoteApplication: application } : null;
    const view = new UnitView({
      tools: dispatched.tools,
      unit,
      model: 'e4b0c9e0-3a1c-4a7b-8a51-0d8f1a6f2c11',
      instances,
      features: { secrets: true },
      occasion: { ...updateStatus, about, relationsAnew: !juju.states.has(unit), ...occasion },
      clock,
      log: createLog(),
    });
    const backplane = new JujuBackplane(view);
    under = { backplane, commit: () => dispatched.commit() };
    return backplane;
  };
  return {
    application,
    shared: false,
    juju,
    get calls() {
      return calls;
    },
    dispatch,
    start: (number, how = {}) => dispatch(number, how),
    pass: async (ms) => clock.advance(ms),
    end,
  };
};

const updateStatus: Occasion = {
  hook: 'update-status',
  leaderElected: false,
  confirmsLimit: false,
  relationsAnew: false,
  about: null,
  broken: null,
  departing: null,
};

export interface RedisFleet extends Fleet {
  readonly stateDir: string;
  /** Sees and does everything on the server, beside the units. */
  readonly admin: Redis;
  readonly log: ReturnType<typeof createLog>;
  /** Key or channel of this application. */
  key(name: string): string;
  open(options?: Partial<RedisBackplaneOptions>): Promise<UnitBackplane>;
}

/** `as`: a login with the documented rights, or the server's own, which a restart does not forget. */
export const redisFleet = async (server: RunningRedis, as: 'user' | 'owner' = 'user'): Promise<RedisFleet> => {
  const application = freshApplication();
  const stateDir = await testDirectory('redis-units-');
  const admin = createAdmin(server);
  const user = as === 'user' ? await createUser(admin, application) : ownerOf(server);
  const log = createLog();
  const opened: UnitBackplane[] = [];
  let machines = 0;
  const key = (name: string): string => `bp1:{${application}}:${name}`;
  const open = async (options: Partial<RedisBackplaneOptions> = {}): Promise<UnitBackplane> => {
    const backplane = await openRedisBackplane({
      url: user.urlOn(server),
      password: user.password,
      ca: null,
      sealKey,
      application,
      unit: unitNameOf(application, 0),
      instances: 2,
      stateDir,
      clock: createSystemClock(),
      log,
      deadAfterMs,
      answerWithinMs: patienceMs,
      ...options,
    });
    opened.push(backplane);
    return backplane;
  };
  return {
    application,
    shared: true,
    stateDir,
    admin,
    log,
    key,
    open,
    start: (number, { elsewhere = false, instances = 2 } = {}) => {
      machines += elsewhere ? 1 : 0;
      const place = elsewhere ? join(stateDir, `machine-${machines}`) : stateDir;
      return open({ unit: unitNameOf(application, number), instances, stateDir: place });
    },
    pass: (ms) => age(admin, key, ms),
    end: async () => {
      await Promise.all(opened.map((backplane) => backplane[Symbol.asyncDispose]()));
      await user.remove();
      admin.disconnect();
    },
  };
};

const createAdmin = (server: RunningRedis): Redis => {
  const admin = new Redis(server.url, { password: server.password.reveal() });
  admin.on('error', () => {}); // Tests end servers under it.
  return admin;
};

export interface StoreUser {
  readonly name: string;
  readonly password: Secret;
  urlOn(server: RunningRedis): string;
  remove(): Promise<void>;
}

const ownerOf = ({ password }: RunningRedis): StoreUser => ({
  name: 'default',
  password,
  urlOn: ({ url }) => url,
  remove: async () => {},
});

/** A login with the rights that the documentation asks for and no other, so that every test proves that they suffice. */
export const createUser = async (
  admin: Redis,
  application: Application,
  rights = documentedRights,
): Promise<StoreUser> => {
  const name = `bp-${application}-${randomBytes(3).toString('hex')}`;
  const password = new Secret(randomBytes(16).toString('hex'));
  const scope = [`~bp1:{${application}}:*`, `&bp1:{${application}}:*`];
  await admin.acl('SETUSER', name, 'on', `>${password.reveal()}`, 'resetchannels', ...scope, ...rights);
  return {
    name,
    password,
    urlOn: ({ host, port }) => `redis://${name}@${host}:${port}`,
    remove: async () => {
      if (admin.status === 'ready') await admin.acl('DELUSER', name);
    },
  };
};

export const documentedRights =
  '-@all +eval +evalsha +hget +hmget +hset +hincrby +hdel +hexists +hgetall +exists +del +hlen +zadd +zrem +zscore +zrange +zrangebyscore +publish +subscribe +unsubscribe +ping +time +wait +hello +auth +info +client|setname +client|id'.split(
    ' ',
  );

/** All times that the store keeps move into the past, which is the same as its clock moving on. */
const age = async (admin: Redis, key: (name: string) => string, ms: number): Promise<void> => {
  for (const field of ['x', 'hx']) {
    const at = await admin.hget(key('lease'), field);
    if (at !== null && at !== '0') await admin.hset(key('lease'), field, String(Number(at) - ms));
  }
  for (const unit of await admin.zrange(key('hb'), '0', '-1')) await admin.zincrby(key('hb'), String(-ms), unit);
};

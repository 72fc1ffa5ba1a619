/** A throw-away Redis and PostgreSQL, and N ordinary units, on this machine. Nothing of it stays. */
import { randomBytes } from 'node:crypto';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import type { Application } from '../../actors/model/ids.ts';
import { unitNameOf } from '../../actors/model/ids.ts';
import { freePort, loopbackOf } from './free-port.ts';
import { Keeper, type Kept } from './keeper.ts';
import { randomPassword, writeOwned } from './owned-file.ts';
import { createAdministrator, createCluster, type Login, type PostgresServer, startCluster } from './postgres.ts';
import { type RedisServer, startRedis } from './redis.ts';
import { clearEarlier, DemoRefused, RemainsRecord } from './remains.ts';
import { type Account, createOwnedDirectory } from './service-user.ts';
import { lastLines, type OnSpawned } from './server-process.ts';
import { startUnit, type UnitsOptions } from './unit-process.ts';

export interface LocalFleetOptions {
  readonly application: Application;
  readonly units: number;
  readonly instances: number;
  readonly account: Account;
  /** Where units have their sockets, and where this fleet is on record while it lives. */
  readonly runDir: string;
  /** What runs a unit. */
  readonly command: UnitsOptions['command'];
  readonly programs: Readonly<Record<'redis' | 'initdb' | 'postgres' | 'pgbouncer', string>>;
  /** Between the end of a process and its next start. */
  readonly againMs: number;
  /** Takes a sentence for people. */
  readonly say: (sentence: string) => void;
  /** `usual`, the default: 6432 when it is free. Fleets that come up at the same moment would take each other's. */
  readonly port?: 'usual' | 'any';
  /** Further TROUPE_* values for every unit. */
  readonly environment?: Readonly<Record<string, string>>;
}

export interface LocalUnit {
  readonly unit: string;
  readonly number: number;
  readonly address: string;
  /** Of its API. */
  readonly socket: string;
  readonly log: string;
}

/** The PostgreSQL of the fleet, as an operator would describe it. */
export interface LocalBackend {
  readonly endpoint: string;
  readonly administrator: Login;
}

/** Where clients look for a PgBouncer first. */
export const usualPort = 6432;

export class LocalFleet implements AsyncDisposable {
  readonly directory: string;
  readonly units: readonly LocalUnit[];
  /** Free on the address of every unit. */
  readonly listenPort: number;
  readonly #options: LocalFleetOptions;
  readonly #record: RemainsRecord;
  readonly #units: Keeper<Kept>[] = [];
  readonly #stores: Keeper<Kept>[] = [];
  #redis: Keeper<RedisServer> | null = null;
  #postgres: Keeper<PostgresServer> | null = null;
  readonly #starting: Promise<unknown>[] = [];
  #isClosing = false;

  private constructor(
    options: LocalFleetOptions,
    record: RemainsRecord,
    place: Pick<LocalFleet, 'directory' | 'units' | 'listenPort'>,
  ) {
    this.#options = options;
    this.#record = record;
    this.directory = place.directory;
    this.units = place.units;
    this.listenPort = place.listenPort;
  }

  /** Takes its place on the machine, once what an earlier one left there is cleared away; nothing runs yet. */
  static async open(options: LocalFleetOptions): Promise<LocalFleet> {
    const { runDir, account } = options;
    const directory = `/tmp/troupe-demo-${randomBytes(6).toString('hex')}`;
    const units = unitsOf(options, directory);
    await clearEarlier(runDir);
    for (const { socket } of units) await refuseWhenAnswered(socket);
    const runPaths = units.flatMap(({ socket }) => [socket, socket.slice(0, -'.sock'.length)]);
    const record = await RemainsRecord.claim(runDir, {
      uid: account.uid,
      directory,
      runPaths,
      cluster: join(directory, 'postgres', 'data'),
    });
    try {
      await createOwnedDirectory(directory, account);
      const addresses = units.map(({ address }) => address);
      const listenPort = await freePort(addresses, options.port === 'any' ? undefined : usualPort);
      return new LocalFleet(options, record, { directory, units, listenPort });
    } catch (cause) {
      await record.clear();
      throw cause;
    }
  }

  /** What runs, or ran last. */
  get redis(): RedisServer {
    return startedBy(this.#redis, 'Redis');
  }

  /** What runs, or ran last. */
  get postgres(): PostgresServer {
    return startedBy(this.#postgres, 'PostgreSQL');
  }

  /** Units come up while PostgreSQL is made, which takes longest. */
  async start(): Promise<LocalBackend> {
    const backend = this.#during(this.#startPostgres());
    await this.#during(this.#startRedis().then((redis) => this.#startUnits(redis)));
    return backend;
  }

  /** For as long as nobody had a reason to end one. */
  async throwWhenUnitEnded(): Promise<void> {
    const index = this.#units.findIndex(({ current }) => !current.process.isRunning());
    const [keeper, unit] = [this.#units[index], this.units[index]];
    if (keeper === undefined || unit === undefined) return;
    throw new Error(`${unit.unit} ${await keeper.current.process.ended}${await lastLines(unit.log)}`);
  }

  /** Ends what was started, in the right order, and removes every trace; waits for what is just starting. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true;
    await Promise.allSettled(this.#starting);
    await Promise.allSettled(this.#units.map((unit) => unit.stop()));
    await Promise.allSettled(this.#stores.map((store) => store.stop()));
    await this.#record.clear();
  }

  #during<T>(work: Promise<T>): Promise<T> {
    this.#starting.push(work);
    work.catch(() => {}); // Whoever waits for it hears it; nobody may wait any more when another start has failed.
    return work;
  }

  async #startPostgres(): Promise<LocalBackend> {
    const { account, programs, units, instances } = this.#options;
    const cluster = await createCluster({
      ...programs,
      directory: join(this.directory, 'postgres'),
      account,
      port: await freePort(['127.0.0.1']),
      maxConnections: 100 + units * instances * 25,
      onSpawned: this.#onServer,
    });
    this.#postgres = await this.#keep('PostgreSQL', this.#stores, () => startCluster(cluster));
    return { endpoint: `${cluster.host}:${cluster.port}`, administrator: await createAdministrator(cluster) };
  }

  async #startRedis(): Promise<RedisServer> {
    const { account, programs } = this.#options;
    const options = {
      binary: programs.redis,
      directory: join(this.directory, 'redis'),
      port: await freePort(['127.0.0.1']),
      password: randomPassword(),
      appendOnly: true,
      account,
      onSpawned: this.#onServer,
    };
    this.#redis = await this.#keep('Redis', this.#stores, () => startRedis(options));
    return this.#redis.current;
  }

  async #startUnits(redis: RedisServer): Promise<void> {
    const { application, command, runDir, instances, account, programs, environment = {} } = this.#options;
    const secretKeyFile = join(this.directory, 'secret-key');
    await writeOwned(secretKeyFile, `${randomBytes(32).toString('base64')}\n`, account);
    const common: UnitsOptions = {
      application,
      command,
      directory: this.directory,
      runDir,
      redis,
      secretKeyFile,
      instances,
      pgbouncer: programs.pgbouncer,
      account,
      environment,
      onSpawned: this.#onUnit,
    };
    for (const unit of this.units) {
      await this.#keep(unit.unit, this.#units, () => startUnit(common, unit));
    }
  }

  async #keep<T extends Kept>(name: string, among: Keeper<Kept>[], start: () => Promise<T>): Promise<Keeper<T>> {
    if (this.#isClosing) throw new Error(`${name} is not started any more: the fleet is being removed`);
    const { againMs, say } = this.#options;
    const keeper = await Keeper.of({ name, againMs, say }, start);
    among.push(keeper);
    return keeper;
  }

  readonly #onServer: OnSpawned = (mark) => this.#record.add('servers', mark);
  readonly #onUnit: OnSpawned = (mark) => this.#record.add('units', mark);
}

const startedBy = <T extends Kept>(keeper: Keeper<T> | null, name: string): T => {
  if (keeper === null) throw new Error(`${name} was not started yet`);
  return keeper.current;
};

const unitsOf = ({ application, units, runDir }: LocalFleetOptions, directory: string): readonly LocalUnit[] =>
  Array.from({ length: units }, (_, number) => ({
    unit: unitNameOf(application, number),
    number,
    address: loopbackOf(number),
    socket: join(runDir, `${application}-${number}.sock`),
    log: join(directory, `unit-${number}.log`),
  }));

/** A socket file that nobody listens at is replaced by the unit; one that answers belongs to somebody else's unit. */
const refuseWhenAnswered = (path: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket = createConnection({ path });
    socket.once('connect', () => {
      socket.destroy();
      reject(
        new DemoRefused(
          `a unit that is not of this demo answers at ${path}: stop it, or set TROUPE_RUN_DIR to another directory`,
        ),
      );
    });
    socket.once('error', () => resolve());
  });

/** N ordinary units and the servers they need, on the ground of the project: all of it gone when it is disposed of. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Application } from '../../src/actors/model/ids.ts';
import { unitNameOf } from '../../src/actors/model/ids.ts';
import { markOf } from '../../src/infra/files/process-mark.ts';
import { freePort, loopbackOf } from '../../src/infra/local/free-port.ts';
import { Keeper, type Kept } from '../../src/infra/local/keeper.ts';
import type { LocalBackend, LocalUnit } from '../../src/infra/local/local-fleet.ts';
import { writeOwned } from '../../src/infra/local/owned-file.ts';
import { createAdministrator } from '../../src/infra/local/postgres.ts';
import { endProcesses, processesUsing } from '../../src/infra/local/processes.ts';
import { lastLines } from '../../src/infra/local/server-process.ts';
import { createOwnedDirectory } from '../../src/infra/local/service-user.ts';
import type { UnitPlace, UnitsOptions } from '../../src/infra/local/unit-process.ts';
import type { StartableFleet } from '../../src/programs/bring-up.ts';
import { homeHere, homeInContainer, type UnitHome } from './unit-home.ts';
import {
  fleetServers,
  type RunningPostgres,
  type RunningRedis,
  testAccount,
  testDirectory,
  troupeProgram,
  unitsInContainers,
} from './servers.ts';

export interface FleetPlaceOptions {
  readonly units: number;
  readonly instances: number;
  /** Between the end of a coordinator and its next start. */
  readonly againMs: number;
  /** Further TROUPE_* values for every unit. */
  readonly environment: Readonly<Record<string, string>>;
  /** What the units run: a program, or an image where units live in containers. */
  readonly pgbouncer: string;
  /** Takes a sentence for people. */
  readonly say: (sentence: string) => void;
}

const application = 'pgbouncer' as Application;
const main = await troupeProgram();

export class FleetPlace implements StartableFleet, AsyncDisposable {
  readonly redis: RunningRedis;
  readonly postgres: RunningPostgres;
  readonly directory: string;
  readonly runDir: string;
  readonly listenPort: number;
  readonly units: readonly LocalUnit[];
  readonly #options: FleetPlaceOptions;
  readonly #homes: UnitHome[] = [];
  readonly #keepers: Keeper<Kept>[] = [];

  private constructor(
    options: FleetPlaceOptions,
    about: Pick<FleetPlace, 'redis' | 'postgres' | 'directory' | 'listenPort'>,
  ) {
    this.#options = options;
    this.redis = about.redis;
    this.postgres = about.postgres;
    this.directory = about.directory;
    this.listenPort = about.listenPort;
    this.runDir = join(about.directory, 'run');
    this.units = Array.from({ length: options.units }, (_, number) => this.#placeOf(number));
  }

  /** With its servers; no unit runs yet. */
  static async open(options: FleetPlaceOptions): Promise<FleetPlace> {
    const directory = await testDirectory();
    await createOwnedDirectory(join(directory, 'run'), testAccount());
    await writeOwned(join(directory, 'secret-key'), `${randomBytes(32).toString('base64')}\n`, testAccount());
    const addresses = Array.from({ length: options.units }, (_, number) => loopbackOf(number));
    const [listenPort, [redis, postgres]] = await Promise.all([freePort(addresses), fleetServers()]);
    return new FleetPlace(options, { redis, postgres, directory, listenPort });
  }

  async start(): Promise<LocalBackend> {
    const { againMs, say } = this.#options;
    for (const unit of this.units) {
      const home = await this.home(unit, this.#options.environment);
      this.#keepers.push(await Keeper.of({ name: unit.unit, againMs, say }, () => home.start()));
    }
    const { host, port } = this.postgres;
    return { endpoint: `${host}:${port}`, administrator: await createAdministrator(this.postgres) };
  }

  /** For a unit that nobody keeps; the home goes with the fleet. */
  async home(place: UnitPlace, environment: Readonly<Record<string, string>>): Promise<UnitHome> {
    const { pgbouncer, instances } = this.#options;
    const { directory, runDir, redis } = this;
    const options: UnitsOptions = {
      application,
      command: [process.execPath, main, 'unit'],
      directory,
      runDir,
      redis,
      secretKeyFile: join(directory, 'secret-key'),
      instances,
      pgbouncer,
      account: testAccount(),
      environment,
      onSpawned: async () => {},
    };
    const home = unitsInContainers() ? await homeInContainer(pgbouncer, options, place) : homeHere(options, place);
    this.#homes.push(home);
    return home;
  }

  /** For as long as nobody had a reason to end one. */
  async throwWhenUnitEnded(): Promise<void> {
    const index = this.#keepers.findIndex(({ current }) => !current.process.isRunning());
    const [keeper, unit] = [this.#keepers[index], this.units[index]];
    if (keeper === undefined || unit === undefined) return;
    throw new Error(`${unit.unit} ${await keeper.current.process.ended}${await lastLines(unit.log)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#keepers.map((keeper) => keeper.stop()));
    await Promise.allSettled(this.#homes.map((home) => home[Symbol.asyncDispose]()));
    // PgBouncers outlive a coordinator that a test has killed.
    const left = (await processesUsing(this.directory)).filter((pid) => pid !== process.pid);
    await endProcesses(
      left.flatMap((pid) => markOf(pid) ?? []),
      'SIGKILL',
      5_000,
    );
    await Promise.allSettled([this.redis.stop(), this.postgres.stop()]);
  }

  #placeOf(number: number): LocalUnit {
    const name = unitNameOf(application, number);
    return {
      unit: name,
      number,
      address: loopbackOf(number),
      socket: join(this.runDir, `${application}-${number}.sock`),
      log: join(this.directory, `unit-${number}.log`),
    };
  }
}

/** One unit that runs alone, as an ordinary process: started, ended and started again by the test. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { FleetStatus, UnitStatus } from '../../src/actors/model/status.ts';
import { type ApiClient, apiAt } from '../../src/infra/cli/api-client.ts';
import { ask } from '../../src/infra/cli/api-request.ts';
import { socketAt } from '../../src/infra/cli/place.ts';
import { isAlive, markOf, type ProcessMark, signalTo } from '../../src/infra/files/process-mark.ts';
import { findBinary } from '../../src/infra/local/binaries.ts';
import { freePort } from '../../src/infra/local/free-port.ts';
import { type ServerProcess, startProcess } from '../../src/infra/local/server-process.ts';
import { Watch } from './fleet-watch.ts';
import { testAccount, testDirectory } from './servers.ts';

export interface RestartedUnitOptions {
  /** Command line of the program that runs it. */
  readonly command: readonly string[];
  readonly pgbouncer?: string;
  /** Further TROUPE_* values. */
  readonly environment?: Readonly<Record<string, string>>;
}

export class RestartedUnit implements AsyncDisposable {
  readonly root: string;
  readonly port: number;
  readonly api: ApiClient;
  readonly #options: RestartedUnitOptions;
  readonly #watch: Watch;
  readonly #instances = new Map<number, ProcessMark>();
  #process: ServerProcess | null = null;

  private constructor(root: string, port: number, options: RestartedUnitOptions) {
    this.root = root;
    this.port = port;
    this.#options = options;
    this.api = apiAt(this.#socket);
    this.#watch = new Watch(this.api, ({ units }) => {
      for (const pid of units.flatMap(({ instances }) => instances.flatMap((one) => one.pid ?? []))) {
        const mark = this.#instances.has(pid) ? null : markOf(pid);
        if (mark !== null) this.#instances.set(pid, mark);
      }
    });
  }

  static async open(options: RestartedUnitOptions): Promise<RestartedUnit> {
    const root = await testDirectory('restarted-');
    await mkdir(join(root, 'run'), { mode: 0o777 });
    const unit = new RestartedUnit(root, await freePort([address]), options);
    await unit.start();
    await unit.until(({ leader }) => leader);
    await unit.api.change({ type: 'setOptions', options: { listen_port: unit.port } }, AbortSignal.timeout(15_000));
    // What it shows is as of its last look: those that the other port has ended are gone.
    await unit.until(
      ({ status, generation, instances }) =>
        status === 'active' &&
        generation.applied === 2 &&
        instances.every(({ pid }) => pid !== null && markOf(pid) !== null),
    );
    return unit;
  }

  get log(): string {
    return join(this.root, 'unit.log');
  }
  get stateDir(): string {
    return join(this.root, 'state', 'pgbouncer-0');
  }

  async start(): Promise<void> {
    const { command, pgbouncer = findBinary('pgbouncer', process.env['PATH'] ?? ''), environment } = this.#options;
    this.#process = await startProcess({
      command: process.execPath,
      args: command,
      directory: '/',
      log: this.log,
      environment: {
        TROUPE_UNIT: 'pgbouncer/0',
        TROUPE_STATE_DIR: join(this.root, 'state'),
        TROUPE_RUN_DIR: join(this.root, 'run'),
        TROUPE_INSTANCES: '2',
        TROUPE_LISTEN_ADDRESS: address,
        TROUPE_PGBOUNCER: pgbouncer,
        TROUPE_USER: testAccount().name,
        TROUPE_DRAIN_DELAY: '0',
        TROUPE_DRAIN_DEADLINE: '1',
        ...environment,
      },
    });
  }

  /** What became of its process, as words. */
  ended(): Promise<string> {
    return this.#process?.ended ?? Promise.reject(new Error('it was not started'));
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.signal(signal);
  }

  /** Resolves with the first own status of this process for which this holds. */
  async until(holds: (unit: UnitStatus) => boolean, withinMs = 30_000): Promise<UnitStatus> {
    const own = ({ units: [unit] }: FleetStatus): boolean =>
      unit !== undefined && unit.pid === this.#process?.pid && holds(unit);
    const { units } = await this.#watch.until(own, withinMs);
    const [unit] = units;
    if (unit === undefined) throw new Error('it shows no unit');
    return unit;
  }

  async answers(path: string): Promise<number> {
    return (await ask(socketAt(this.#socket), { method: 'GET', path }, AbortSignal.timeout(5_000))).status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch[Symbol.dispose]();
    await this.#process?.stop([['SIGTERM', 8_000]]);
    for (const mark of this.#instances.values()) if (isAlive(mark)) signalTo(mark, 'SIGKILL');
  }

  get #socket(): string {
    return join(this.root, 'run', 'pgbouncer-0.sock');
  }
}

const address = '127.0.0.1';

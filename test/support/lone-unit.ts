/** One ordinary unit on a backplane of its own, as a process that a test may put into any trouble. Needs no server but PgBouncer. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { FleetStatus, UnitStatus } from '../../src/actors/model/status.ts';
import { type ApiClient, apiAt } from '../../src/infra/cli/api-client.ts';
import { markOf } from '../../src/infra/files/process-mark.ts';
import { freePort } from '../../src/infra/local/free-port.ts';
import { endProcesses, processesWithArgument } from '../../src/infra/local/processes.ts';
import { spawnIds } from '../../src/infra/local/service-user.ts';
import { Watch } from './fleet-watch.ts';
import { testAccount, testDirectory, troupeProgram } from './servers.ts';

export interface LoneUnitOptions {
  readonly binary: string;
  readonly instances?: number;
  /** Further TROUPE_* values, or others in place of the usual ones. */
  readonly environment?: Readonly<Record<string, string>>;
  /** What runs before the unit in the same process, as shell text: a mount, a limit. `$HOME_OF_UNIT` is its directory. */
  readonly before?: string;
  /** With a mount namespace of its own, which only root can have. */
  readonly ownMounts?: boolean;
  /** An existing one to go on with. */
  readonly directory?: string;
  readonly port?: number;
  readonly address?: string;
}

export const main = await troupeProgram();

export class LoneUnit implements AsyncDisposable {
  readonly directory: string;
  readonly address: string;
  readonly port: number;
  readonly watch: Watch;
  readonly api: ApiClient;
  readonly #child: ChildProcess;
  readonly #said: Promise<string>;

  private constructor(
    place: { readonly directory: string; readonly address: string; readonly port: number },
    child: ChildProcess,
  ) {
    this.directory = place.directory;
    this.address = place.address;
    this.port = place.port;
    this.#child = child;
    this.#said = child.stderr === null ? Promise.resolve('') : text(child.stderr);
    this.api = apiAt(this.socket);
    this.watch = new Watch(this.api);
  }

  /** Started, with a port of its own asked for; not waited for. */
  static async open(options: LoneUnitOptions): Promise<LoneUnit> {
    const { binary, instances = 2, address = '127.0.0.31', before = '', ownMounts = false } = options;
    const directory = options.directory ?? (await testDirectory('u-'));
    const port = options.port ?? (await freePort([address]));
    const { uid, gid } = spawnIds(testAccount());
    if (uid !== undefined && gid !== undefined) {
      await mkdir(join(directory, 'run'), { recursive: true });
      await chown(directory, uid, gid);
      await chown(join(directory, 'run'), uid, gid);
    }
    const shell = `set -e\n${before}\nexec "$@"`;
    const command = [...(ownMounts ? ['unshare', '-m'] : []), 'sh', '-c', shell, 'sh', process.execPath, main, 'unit'];
    const [program = '', ...args] = command;
    const child = spawn(program, args, {
      cwd: '/',
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        PATH: process.env['PATH'],
        HOME_OF_UNIT: directory,
        TROUPE_STATE_DIR: join(directory, 'state'),
        TROUPE_RUN_DIR: join(directory, 'run'),
        TROUPE_INSTANCES: String(instances),
        TROUPE_LISTEN_ADDRESS: address,
        TROUPE_PGBOUNCER: binary,
        TROUPE_USER: testAccount().name,
        TROUPE_DRAIN_DELAY: '0',
        TROUPE_DRAIN_DEADLINE: '1',
        ...options.environment,
      },
    });
    return new LoneUnit({ directory, address, port }, child);
  }

  /** The same, serving. */
  static async serving(options: LoneUnitOptions): Promise<LoneUnit> {
    const unit = await LoneUnit.open(options);
    try {
      await unit.listenAtItsPort();
      await unit.until(
        (own) =>
          isServing(own) &&
          own.address.endsWith(`:${unit.port}`) &&
          own.instances.every(({ pid }) => pid !== null && markOf(pid) !== null),
      );
      return unit;
    } catch (cause) {
      await unit[Symbol.asyncDispose]();
      throw new Error(`the unit does not serve: ${await unit.lastWords()}`, { cause });
    }
  }

  get socket(): string {
    return join(this.directory, 'run', 'pgbouncer-0.sock');
  }
  /** Where it keeps its files. */
  file(...path: readonly string[]): string {
    return join(this.directory, 'state', 'pgbouncer-0', ...path);
  }
  ini(instance: number): string {
    return this.file('instances', String(instance), 'pgbouncer.ini');
  }
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async listenAtItsPort(): Promise<void> {
    await this.watch.until(() => true, 20_000);
    const outcome = await this.api.change(
      { type: 'setOptions', options: { listen_port: this.port } },
      AbortSignal.timeout(15_000),
    );
    if (outcome.kind !== 'accepted' && outcome.kind !== 'unchanged') throw new Error(JSON.stringify(outcome));
  }

  /** What it says of itself, once this holds of it. */
  async until(holds: (unit: UnitStatus) => boolean, withinMs = 20_000): Promise<UnitStatus> {
    const own = ({ units }: FleetStatus): UnitStatus | undefined => units.find(({ unit }) => unit === 'pgbouncer/0');
    const status = await this.watch.until((seen) => {
      const unit = own(seen);
      return unit !== undefined && holds(unit);
    }, withinMs);
    const unit = own(status);
    if (unit === undefined) throw new Error('the unit does not know itself');
    return unit;
  }

  pids(): readonly number[] {
    return this.watch.latest?.units[0]?.instances.flatMap(({ pid }) => pid ?? []) ?? [];
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** The exit code, and what it said on stderr. */
  async ended(): Promise<{ readonly code: number | null; readonly said: string }> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit');
    return { code: this.#child.exitCode, said: await this.#said };
  }

  async lastWords(): Promise<string> {
    const said = await this.#said;
    const log = await readFile(this.file('instances', '1', 'pgbouncer.log'), 'utf8').catch(() => '');
    return `${said.split('\n').slice(-8).join('\n')}\n${log.split('\n').slice(-8).join('\n')}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.watch[Symbol.dispose]();
    this.#child.kill('SIGKILL');
    await this.ended();
    const left = await processesWithArgument((argument) => argument.startsWith(this.directory));
    await endProcesses(
      left.flatMap((pid) => markOf(pid) ?? []),
      'SIGKILL',
      5_000,
    );
  }
}

export const isServing = ({ status, instances }: UnitStatus): boolean =>
  status === 'active' && instances.every(({ state, pid }) => state === 'serving' && pid !== null);

/** Blocked or waiting for this reason. */
export const lacks =
  (id: string, words = /./) =>
  ({ waits }: UnitStatus): boolean =>
    waits.some((wait) => wait.id === id && words.test(wait.message));

export const remarks =
  (id: string, words = /./) =>
  ({ remarks: found }: UnitStatus): boolean =>
    found.some((remark) => remark.id === id && words.test(remark.message));

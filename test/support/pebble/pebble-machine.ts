import { randomInt } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { Client } from 'pg';
import type { PgBouncerVersion } from '../../../src/actors/model/workload.ts';
import { createSystemClock } from '../../../src/infra/clock/system-clock.ts';
import { markOf } from '../../../src/infra/files/process-mark.ts';
import { loginIn, type OwnLogin } from '../../../src/infra/instances/login.ts';
import { freePort } from '../../../src/infra/local/free-port.ts';
import { openPebble, type Pebble } from '../../../src/infra/pebble/client.ts';
import { openPebbleWorkload, type PebbleWorkloadOptions } from '../../../src/infra/pebble/workload.ts';
import { parseVersion } from '../../../src/pgbouncer/version.ts';
import type { Coordinator, Machine, UnitOnMachine } from '../../contract/workload.contract.ts';
import { testAccount, testDirectory } from '../servers.ts';
import { strangerAt } from '../stranger.ts';
import type { PebbleDaemon, PebbleOptions } from './daemon.ts';

export interface UnitOfPebble extends UnitOnMachine {
  readonly options?: Partial<PebbleWorkloadOptions>;
}

/**
 * Real PgBouncers, in a container with a Pebble for each unit. Coordinators are in this process, since they keep nothing outside
 * the container.
 */
export class PebbleMachine implements Machine {
  readonly version: PgBouncerVersion;
  readonly silentExits = 'Pebble has no way to tell at once that a service has ended';
  readonly #binary: string;
  readonly #start: StartPebble;
  readonly #daemons = new Map<string, Promise<PebbleDaemon>>();
  readonly #root: string;
  readonly #networks = new Map<string, string>();
  readonly #strangers = new AsyncDisposableStack();

  private constructor(version: PgBouncerVersion, binary: string, root: string, start: StartPebble) {
    this.version = version;
    this.#binary = binary;
    this.#root = root;
    this.#start = start;
  }

  static async open(
    { version, run }: { readonly version: string; readonly run: string },
    start: StartPebble,
  ): Promise<PebbleMachine> {
    const parsed = parseVersion(`PgBouncer ${version}`);
    if (parsed === null) throw new Error(`no version of PgBouncer: "${version}"`);
    return new PebbleMachine(parsed, run, await testDirectory('m-'), start);
  }

  async open({ name, listenAddress, instances, options }: UnitOfPebble): Promise<Coordinator> {
    const workload = openPebbleWorkload({
      pebble: await this.pebbleOf(name),
      stateDir: this.stateDir(name),
      binary: this.#binary,
      user: process.getuid?.() === 0 ? testAccount().name : null,
      instances,
      listenAddress,
      consoleNetwork: this.#networkOf(name),
      clock: createSystemClock(),
      log: silent,
      patience: { answer: 1_000 },
      // Longer than any test: else what a test has killed would come back by itself.
      restartDelayMs: 3_600_000,
      ...options,
    });
    return { workload, kill: async () => workload[Symbol.asyncDispose]() };
  }

  async pebbleOf(unit: string): Promise<Pebble> {
    return openPebble((await this.daemonOf(unit)).socket);
  }

  daemonOf(unit: string): Promise<PebbleDaemon> {
    const known = this.#daemons.get(unit) ?? this.#boot(unit);
    this.#daemons.set(unit, known);
    return known;
  }

  stateDir(unit: string): string {
    return join(this.#root, unit);
  }

  freePort(addresses: readonly string[]): Promise<number> {
    return freePort(addresses);
  }

  signal(pid: number, signal: NodeJS.Signals): void {
    process.kill(pid, signal);
  }

  isAlive(pid: number): boolean {
    return markOf(pid) !== null;
  }

  async occupy(address: string, port: number): Promise<AsyncDisposable> {
    const stranger = await strangerAt(address, port);
    this.#strangers.use(stranger);
    return stranger;
  }

  async connect(unit: string, host: string, port: number): Promise<AsyncDisposable> {
    const [probe] = await this.loginsOf(unit);
    return connectAs(probe, { host, port });
  }

  /** Of the probe, and of the consoles. */
  async loginsOf(unit: string): Promise<readonly [probe: OwnLogin, console: OwnLogin]> {
    const texts: readonly string[] = JSON.parse(await readFile(join(this.stateDir(unit), 'logins.json'), 'utf8'));
    const [probe, console] = texts.map(loginIn);
    if (probe == null || console == null) throw new Error(`the unit ${unit} has no logins yet`);
    return [probe, console];
  }

  /** The container ends, with all that it has on disk, and is there again. */
  async startContainerAgain(unit: string): Promise<void> {
    const daemon = await this.daemonOf(unit);
    await daemon.kill();
    await rm(this.stateDir(unit), { recursive: true, force: true });
    await daemon.startAgain();
  }

  /** In a pod there is one unit, and nobody else; here each has a loopback of its own. */
  #networkOf(unit: string): string {
    const network = this.#networks.get(unit) ?? `127.${randomInt(1, 255)}.${randomInt(1, 255)}`;
    this.#networks.set(unit, network);
    return network;
  }

  async #boot(unit: string): Promise<PebbleDaemon> {
    const directory = join(this.#root, `pebble-${unit}`);
    await mkdir(directory);
    return this.#start({ directory, environment });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#strangers[Symbol.asyncDispose]();
    for (const daemon of this.#daemons.values()) await (await daemon)[Symbol.asyncDispose]();
    await rm(this.#root, { recursive: true, force: true });
  }
}

type StartPebble = (options: PebbleOptions) => Promise<PebbleDaemon>;

/** From an address of this machine, when it matters from which. */
export const connectAs = async (
  { username, password }: OwnLogin,
  to: { readonly host: string; readonly port: number; readonly from?: string; readonly database?: string },
): Promise<AsyncDisposable & { readonly client: Client }> => {
  const { host, port, from, database = 'pgbouncer' } = to;
  const login = { user: username, password: password.reveal(), database };
  const stream = from === undefined ? {} : { stream: () => socketFrom(from) };
  const client = new Client({ host, port, ...login, connectionTimeoutMillis: 2_000, ...stream });
  client.on('error', () => {}); // It may be cut: that is what some tests are about.
  await client.connect();
  return { client, [Symbol.asyncDispose]: () => client.end() };
};

const socketFrom = (localAddress: string): Socket => {
  const socket = new Socket();
  const connect = socket.connect.bind(socket);
  return Object.assign(socket, { connect: (port: number, host: string) => connect({ port, host, localAddress }) });
};

const environment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' };
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

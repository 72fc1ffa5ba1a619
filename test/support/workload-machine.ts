import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { Secret } from '../../src/actors/model/secret.ts';
import type { PgBouncerVersion } from '../../src/actors/model/workload.ts';
import { freePort } from '../../src/infra/local/free-port.ts';
import { endProcesses, processesWithArgument } from '../../src/infra/local/processes.ts';
import { markOf } from '../../src/infra/files/process-mark.ts';
import { spawnIds } from '../../src/infra/local/service-user.ts';
import { parseVersion } from '../../src/pgbouncer/version.ts';
import type { Coordinator, Machine, UnitOnMachine } from '../contract/workload.contract.ts';
import { testAccount, testDirectory } from './servers.ts';
import { openWorkloadHost, type WorkloadHost } from './workload-host.ts';
import type { HostOptions } from './workload-wire.ts';

export interface UnitOfProcesses extends UnitOnMachine {
  readonly options?: Partial<HostOptions>;
  /** Environment of the coordinator. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** This machine, with real PgBouncers as the service account; coordinators are processes too. */
export class ProcessMachine implements Machine {
  readonly version: PgBouncerVersion;
  readonly #binary: string;
  readonly #root: string;
  readonly #hosts: WorkloadHost[] = [];
  readonly #strangers: ChildProcess[] = [];

  private constructor(version: PgBouncerVersion, binary: string, root: string) {
    this.version = version;
    this.#binary = binary;
    this.#root = root;
  }

  static async open(version: string, binary: string): Promise<ProcessMachine> {
    const parsed = parseVersion(`PgBouncer ${version}`);
    if (parsed === null) throw new Error(`no version of PgBouncer: "${version}"`);
    return new ProcessMachine(parsed, binary, await testDirectory('w-'));
  }

  async open({
    name,
    listenAddress,
    instances,
    options,
    environment,
  }: UnitOfProcesses): Promise<Coordinator & WorkloadHost> {
    const stateDir = this.stateDir(name);
    const given = { stateDir, binary: this.#binary, instances, listenAddress, patience: { answer: 1_000 }, ...options };
    const host = await openWorkloadHost(given, testAccount(), environment);
    this.#hosts.push(host);
    return host;
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

  /** As the same account and willing to share: what `so_reuseport` hides. */
  async occupy(address: string, port: number): Promise<AsyncDisposable> {
    const { uid, gid } = spawnIds(testAccount());
    // It becomes the account by itself: the account may not be able to read the checkout, where this Node lies.
    const become =
      uid === undefined ? '' : `process.setgroups([${gid}]);process.setgid(${gid});process.setuid(${uid});`;
    const code = `${become}require('node:net').createServer().listen({host:'${address}',port:${port},reusePort:true},()=>process.stdout.write('.'))`;
    const child = spawn(process.execPath, ['-e', code], { cwd: '/', env: {}, stdio: ['ignore', 'pipe', 'inherit'] });
    this.#strangers.push(child);
    await once(child.stdout, 'data');
    return { [Symbol.asyncDispose]: () => ended(child) };
  }

  async connect(unit: string, host: string, port: number): Promise<AsyncDisposable> {
    const { username, password } = await this.probeOf(unit);
    const login = { user: username, password: password.reveal(), database: 'pgbouncer' };
    const client = new Client({ host, port, ...login, connectionTimeoutMillis: 2_000 });
    client.on('error', () => {}); // It may be cut: that is what some tests are about.
    await client.connect();
    return { [Symbol.asyncDispose]: () => client.end() };
  }

  async probeOf(unit: string): Promise<{ readonly username: string; readonly password: Secret }> {
    const { username, password } = JSON.parse(await readFile(join(this.stateDir(unit), 'probe.json'), 'utf8'));
    return { username, password: new Secret(password) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#hosts.map((host) => host.kill()), ...this.#strangers.map(ended)]);
    const left = await processesWithArgument((argument) => argument.startsWith(this.#root));
    await endProcesses(
      left.flatMap((pid) => markOf(pid) ?? []),
      'SIGKILL',
      2_000,
    );
    await rm(this.#root, { recursive: true, force: true });
  }
}

const ended = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
};

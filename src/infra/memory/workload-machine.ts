/**
 * A machine that exists in memory: the disks of units, PgBouncer processes, and whoever else listens. It outlives the coordinators
 * that open workloads on it. What it knows of PgBouncer is what the suite of the workload port demands of a real one.
 */
import type { PgBouncerVersion, Rendered } from '../../actors/model/workload.ts';
import { optionOf, parseOption } from '../../pgbouncer/catalogue.ts';
import { decodeIni, Unreadable } from '../../pgbouncer/dialect.ts';
import { databasesIn, settingsIn, usersIn } from '../../pgbouncer/ini.ts';
import { whyReserved } from '../../pgbouncer/reserved.ts';
import type { Rows } from '../../pgbouncer/show.ts';

export interface UnitInMemory {
  readonly name: string;
  readonly listenAddress: string;
  readonly instances: number;
}

/** Files of one unit. */
export interface Disk {
  authFile: string | null;
  readonly inis: Map<number, string>;
}

export interface PgBouncerProcess {
  readonly pid: number;
  readonly unit: string;
  readonly instance: number;
  readonly address: string;
  /** As it was started: a reload changes neither. */
  readonly port: number;
  /** What it has loaded of its main section, and its entries. */
  settings: ReadonlyMap<string, string>;
  databases: ReadonlyMap<string, ReadonlyMap<string, string>>;
  users: ReadonlyMap<string, ReadonlyMap<string, string>>;
  /** Who may log in. */
  authFile: string;
  readonly clients: Set<string>;
  /** Pooled connections by database, and the databases whose connections are to be replaced. */
  readonly open: Map<string, number>;
  readonly renewing: Set<string>;
  frozen: boolean;
  paused: boolean;
  draining: boolean;
}

/** What clients would use if nothing limited them. */
const unlimitedDemand = 100;

type Exited = (process: PgBouncerProcess) => void;

export class MemoryMachine {
  readonly version: PgBouncerVersion;
  readonly #disks = new Map<string, Disk>();
  readonly #processes = new Map<number, PgBouncerProcess>();
  readonly #strangers = new Map<number, string>();
  readonly #watchers = new Set<Exited>();
  #pids = 1000;
  #complaint: string | null = null;

  constructor(version: PgBouncerVersion = { major: 1, minor: 26, patch: 1 }) {
    this.version = version;
  }

  /** Disks and processes are again as they are now, as often as what is returned is called. */
  keep(): () => void {
    const kept = structuredClone({ disks: this.#disks, processes: this.#processes });
    return () => {
      const { disks, processes } = structuredClone(kept);
      this.#disks.clear();
      for (const [unit, disk] of disks) this.#disks.set(unit, disk);
      this.#processes.clear();
      for (const [pid, process] of processes) this.#processes.set(pid, process);
    };
  }

  diskOf(unit: string): Disk {
    const disk = this.#disks.get(unit) ?? { authFile: null, inis: new Map() };
    this.#disks.set(unit, disk);
    return disk;
  }

  processOf(unit: string, instance: number): PgBouncerProcess | null {
    const all = [...this.#processes.values()];
    return all.find((process) => process.unit === unit && process.instance === instance) ?? null;
  }

  /** Who listens at an address and is not of this unit: process id and name. */
  strangerAt(unit: string, address: string, port: number): string | null {
    const [stranger] = [...this.#strangers].find(([, at]) => at === `${address}:${port}`) ?? [];
    if (stranger !== undefined) return `process ${stranger} (stranger)`;
    const other = [...this.#processes.values()].find(
      (process) => process.unit !== unit && isListening(process, address, port),
    );
    return other === undefined ? null : `process ${other.pid} (pgbouncer)`;
  }

  start(unit: UnitInMemory, instance: number): PgBouncerProcess {
    const { authFile, inis } = this.diskOf(unit.name);
    const ini = inis.get(instance) ?? '';
    this.#pids += 1;
    const started: PgBouncerProcess = {
      pid: this.#pids,
      unit: unit.name,
      instance,
      address: unit.listenAddress,
      port: Number(settingsIn(ini).get('listen_port')),
      settings: settingsIn(ini),
      databases: databasesIn(ini),
      users: usersIn(ini),
      authFile: authFile ?? '',
      clients: new Set(),
      open: new Map(),
      renewing: new Set(),
      frozen: false,
      paused: false,
      draining: false,
    };
    this.#processes.set(started.pid, started);
    return started;
  }

  /** What a running process never takes over it keeps, without a word. */
  reload(process: PgBouncerProcess): void {
    const { authFile, inis } = this.diskOf(process.unit);
    const ini = inis.get(process.instance) ?? '';
    const kept = [...process.settings].filter(([key]) => isTakenAtStart(key));
    process.settings = new Map([...settingsIn(ini), ...kept]);
    process.databases = databasesIn(ini);
    process.users = new Map([...process.users, ...usersIn(ini)]); // A line that is gone stays in force.
    process.authFile = authFile ?? '';
    for (const database of process.open.keys()) if (!process.databases.has(database)) process.open.delete(database);
  }

  /** As many clients as can be have a connection; what is above a limit closes only where connections are being replaced. */
  saturate(): void {
    for (const process of this.#processes.values())
      for (const [database, pairs] of process.databases) {
        const limit = Number(pairs.get('max_db_connections') ?? 0);
        const open = process.open.get(database) ?? 0;
        const most = limit === 0 ? unlimitedDemand : limit;
        if (process.renewing.delete(database) || open < most) process.open.set(database, most);
      }
  }

  /** Pooled connections to a database, of all processes of all units. */
  openTo(database: string): number {
    return [...this.#processes.values()].reduce((sum, { open }) => sum + (open.get(database) ?? 0), 0);
  }

  drain(process: PgBouncerProcess): void {
    process.draining = true;
    if (process.clients.size === 0) this.end(process);
  }

  end(process: PgBouncerProcess): void {
    if (!this.#processes.delete(process.pid)) return;
    for (const watcher of this.#watchers) watcher(process);
  }

  onExit(exited: Exited): Disposable {
    this.#watchers.add(exited);
    return { [Symbol.dispose]: () => this.#watchers.delete(exited) };
  }

  /** What PgBouncer says of the files; null when it has nothing to say. */
  complaintAbout({ instances }: Rendered): string | null {
    return this.#complaint ?? instances.map(({ ini }) => complaintAbout(ini)).find((said) => said !== null) ?? null;
  }

  /** A fault: from now on no file proves, until null. */
  refuseProofs(complaint: string | null): void {
    this.#complaint = complaint;
  }

  /** What the world does to a process. */
  signal(pid: number, signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    const process = this.#processes.get(pid);
    if (process === undefined) return;
    if (signal === 'SIGKILL') this.end(process);
    else process.frozen = signal === 'SIGSTOP';
  }

  isAlive(pid: number): boolean {
    return this.#processes.has(pid);
  }

  /** Somebody who is none of ours listens there. */
  occupy(address: string, port: number): Disposable {
    this.#pids += 1;
    const pid = this.#pids;
    this.#strangers.set(pid, `${address}:${port}`);
    return { [Symbol.dispose]: () => this.#strangers.delete(pid) };
  }

  /** A client that stays; null when nobody takes it. */
  connect(user: string, address: string, port: number): Disposable | null {
    const all = [...this.#processes.values()].filter((process) => isListening(process, address, port));
    const process = all.find(({ authFile }) => authFile.includes(`"${user}"`));
    if (process === undefined) return null;
    process.clients.add(user);
    return {
      [Symbol.dispose]: () => {
        process.clients.delete(user);
        if (process.draining && process.clients.size === 0) this.end(process);
      },
    };
  }
}

export const isListening = (process: PgBouncerProcess, address: string, port: number): boolean =>
  !process.draining && process.address === address && process.port === port;

export const configRows = ({ settings }: PgBouncerProcess): Rows =>
  [...settings].map(([key, value]) => ({ key, value }));

export const databaseRows = ({ settings, databases, open }: PgBouncerProcess): Rows =>
  [...databases].map(([name, pairs]) => ({
    name,
    host: pairs.get('host') ?? null,
    port: pairs.get('port') ?? null,
    database: pairs.get('dbname') ?? null,
    pool_size: pairs.get('pool_size') ?? settings.get('default_pool_size') ?? null,
    max_connections: pairs.get('max_db_connections') ?? '0',
    current_connections: String(open.get(name) ?? 0),
    force_user: null,
  }));

export const userRows = ({ users }: PgBouncerProcess): Rows =>
  [...users].map(([name, pairs]) => ({
    name,
    pool_mode: pairs.get('pool_mode') ?? null,
    pool_size: pairs.get('pool_size') ?? '',
    max_user_connections: pairs.get('max_user_connections') ?? '0',
  }));

const isTakenAtStart = (key: string): boolean => optionOf(key)?.restart === true || givenAtStart.has(key);
const givenAtStart: ReadonlySet<string> = new Set([
  'listen_addr',
  'unix_socket_dir',
  'unix_socket_mode',
  'so_reuseport',
]);

const complaintAbout = (ini: string): string | null => {
  try {
    const settings = decodeIni(ini).get('pgbouncer');
    if (settings === undefined) return 'main section missing from config file';
    return [...settings].map(([key, value]) => complaintAboutKey(key, value)).find((said) => said !== null) ?? null;
  } catch (cause) {
    if (cause instanceof Unreadable) return 'syntax error in configuration (pgbouncer.ini)';
    throw cause;
  }
};

const complaintAboutKey = (key: string, value: string): string | null => {
  const isOurs = whyReserved(key) !== undefined;
  if (isOurs ? !numeric.has(key) || /^\d+$/.test(value) : parseOption(key, value).ok) return null;
  const invalid = `invalid value "${value}" for parameter ${key} in configuration (pgbouncer.ini)`;
  return isOurs || optionOf(key) !== undefined ? invalid : `unknown parameter: pgbouncer/${key}; ${invalid}`;
};

const numeric: ReadonlySet<string> = new Set([
  'unix_socket_mode',
  'so_reuseport',
  'peer_id',
  'tcp_defer_accept',
  'min_pool_size',
  'reserve_pool_size',
  'verbose',
  'syslog',
]);

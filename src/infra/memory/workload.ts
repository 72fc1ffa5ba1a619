import { Secret } from '../../actors/model/secret.ts';
import type {
  ConnectedClient,
  InstanceFact,
  InstanceLayout,
  Inspection,
  Layout,
  Rendered,
  Step,
  StepOutcome,
} from '../../actors/model/workload.ts';
import { type ConsoleRow, type Workload, WorkloadAway, WorkloadUnavailable } from '../../actors/ports/workload.ts';
import { listenPortOf } from '../../pgbouncer/ini.ts';
import { canaryIn, poolsShown, settingsShown } from '../../pgbouncer/show.ts';
import { configMismatches } from '../../pgbouncer/verify.ts';
import { isAtLeast } from '../../pgbouncer/version.ts';
import {
  configRows,
  databaseRows,
  userRows,
  isListening,
  type MemoryMachine,
  type PgBouncerProcess,
  type UnitInMemory,
} from './workload-machine.ts';

/** The workload of one unit on a machine in memory. Nothing takes time, everything else is as with real processes. */
export class MemoryWorkload implements Workload {
  readonly #machine: MemoryMachine;
  readonly #unit: UnitInMemory;
  readonly #layout: Layout;
  readonly #listeners = new Set<(instance: number, how: string) => void>();
  readonly #watching: Disposable;
  /** Processes that this coordinator started: only of those the system tells it the end. */
  readonly #children = new Set<number>();
  #unavailable: (() => WorkloadUnavailable) | null = null;

  constructor(machine: MemoryMachine, unit: UnitInMemory) {
    this.#machine = machine;
    this.#unit = unit;
    this.#layout = layoutOf(unit);
    this.#watching = machine.onExit(({ pid, instance }) => {
      if (this.#children.delete(pid)) for (const listener of this.#listeners) listener(instance, 'ended');
    });
  }

  async inspect(signal: AbortSignal): Promise<Inspection> {
    this.#check(signal);
    const { authFile, inis } = this.#machine.diskOf(this.#unit.name);
    return {
      binary: { kind: 'found', version: this.#machine.version },
      layout: this.#layout,
      disk: {
        authFile: authFile === null ? null : new Secret(authFile),
        instances: this.#layout.instances.map(({ id }) => ({ id, ini: inis.get(id) ?? null })),
      },
      instances: this.#layout.instances.map(({ id }) => this.#factOf(id)),
      obstacles: [],
    };
  }

  async take(step: Step, signal: AbortSignal): Promise<StepOutcome> {
    this.#check(signal);
    switch (step.type) {
      case 'prove': {
        const complaint = this.#machine.complaintAbout(step.rendered);
        return complaint === null ? done : { kind: 'refused', reason: complaint };
      }
      case 'write':
        return this.#write(step.rendered);
      case 'verify':
        return this.#verify(step.rendered);
      case 'reconnect':
        for (const id of step.instances)
          for (const database of step.databases) this.#process(id)?.renewing.add(database);
        return done;
      case 'start':
      case 'reload':
      case 'pause':
      case 'resume':
      case 'drain':
      case 'stop':
        return this.#takeAll(step.type, step.instances);
    }
  }

  async show(
    instance: number,
    what: Parameters<Workload['show']>[1],
    signal: AbortSignal,
  ): Promise<readonly ConsoleRow[] | null> {
    this.#check(signal);
    const process = this.#process(instance);
    if (process === null || process.frozen) return null;
    switch (what) {
      case 'config':
        return configRows(process);
      case 'databases':
        return databaseRows(process);
      case 'users':
        return userRows(process);
      case 'clients':
        return [...process.clients].map((user) => ({ user, database: 'pgbouncer' }));
      case 'pools':
        return [];
    }
  }

  async connected(signal: AbortSignal): Promise<readonly ConnectedClient[]> {
    this.#check(signal);
    return this.#layout.instances.flatMap(({ id }) =>
      [...(this.#process(id)?.clients ?? [])].map((user) => ({
        instance: id,
        user,
        database: 'pgbouncer',
        address: this.#unit.listenAddress,
        port: 0,
      })),
    );
  }

  onExit(exited: (instance: number, how: string) => void): Disposable {
    this.#listeners.add(exited);
    return { [Symbol.dispose]: () => this.#listeners.delete(exited) };
  }

  /** A fault: from now on the workload cannot be reached, until null. */
  breakDown(reason: string | null): void {
    this.#unavailable = reason === null ? null : () => new WorkloadUnavailable(reason);
  }

  /** A container that is not there: what it brings comes by itself, until null. */
  goAway(reason: string | null): void {
    this.#unavailable = reason === null ? null : () => new WorkloadAway(reason);
  }

  /** Leaves the processes running, as a coordinator does that ends or is killed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listeners.clear();
    this.#watching[Symbol.dispose]();
  }

  #check(signal: AbortSignal): void {
    if (signal.aborted) throw new WorkloadUnavailable('the question was cancelled', { cause: signal.reason });
    if (this.#unavailable !== null) throw this.#unavailable();
  }

  #process(instance: number): PgBouncerProcess | null {
    return this.#machine.processOf(this.#unit.name, instance);
  }

  #factOf(id: number): InstanceFact {
    const running = this.#process(id);
    if (running === null)
      return {
        id,
        state: 'absent',
        pid: null,
        version: null,
        canary: null,
        paused: false,
        settings: null,
        pools: null,
      };
    const { pid, frozen, paused } = running;
    const { version } = this.#machine;
    const pools = poolsShown(databaseRows(running), []);
    if (frozen) return { id, state: 'hung', pid, version, canary: null, paused: false, settings: null, pools };
    const config = configRows(running);
    return {
      id,
      state: 'running',
      pid,
      version,
      canary: canaryIn(config),
      paused,
      settings: settingsShown(config),
      pools,
    };
  }

  #write({ authFile, instances }: Rendered): StepOutcome {
    const disk = this.#machine.diskOf(this.#unit.name);
    disk.authFile = authFile.reveal();
    for (const { id, ini } of instances) disk.inis.set(id, ini);
    return done;
  }

  #takeAll(type: keyof typeof doings, ids: readonly number[]): StepOutcome {
    const stranger = ids.find((id) => this.#layout.instances.every((instance) => instance.id !== id));
    if (stranger !== undefined)
      return { kind: 'refused', reason: `cannot ${type} instance ${stranger}: this unit has ${this.#unit.instances}` };
    const reasons = ids.flatMap((id) => this.#takeOne(type, id) ?? []);
    if (reasons.length === 0) return done;
    if (type === 'pause') this.#takeAll('resume', ids); // Half a pause is no use to anybody.
    return { kind: 'failed', reason: reasons.map((reason) => `cannot ${type} ${reason}`).join('; ') };
  }

  /** Null when it is done. */
  #takeOne(type: keyof typeof doings, id: number): string | null {
    if (type === 'start') return this.#start(id);
    const process = this.#process(id);
    if (process === null) return doings[type] ? null : `instance ${id}: it does not run`;
    if (process.frozen && type !== 'stop') return `instance ${id}: its console does not answer`;
    if (type === 'reload') this.#machine.reload(process);
    else if (type === 'pause' || type === 'resume') process.paused = type === 'pause';
    else if (type === 'stop') this.#machine.end(process);
    else if (isAtLeast(this.#machine.version, '1.23')) this.#machine.drain(process);
    return null;
  }

  #start(id: number): string | null {
    const process = this.#process(id);
    if (process !== null) return process.draining ? `instance ${id}: process ${process.pid} still drains` : null;
    const ini = this.#machine.diskOf(this.#unit.name).inis.get(id);
    if (ini === undefined) return `instance ${id}: its ini is missing`;
    const { listenAddress } = this.#unit;
    const port = listenPortOf(ini);
    if (port === null) return `instance ${id}: its ini names no listen_port`;
    const stranger = this.#machine.strangerAt(this.#unit.name, listenAddress, port);
    if (stranger !== null) return `instance ${id}: ${listenAddress}:${port} is held by ${stranger}`;
    this.#children.add(this.#machine.start(this.#unit, id).pid);
    return null;
  }

  #verify({ instances, listenPort }: Rendered): StepOutcome {
    const { listenAddress } = this.#unit;
    for (const { id } of instances) {
      const process = this.#process(id);
      if (process === null) return { kind: 'failed', reason: `instance ${id} does not run` };
      if (!isListening(process, listenAddress, listenPort))
        return {
          kind: 'failed',
          reason: `instance ${id} (process ${process.pid}) does not listen on ${listenAddress}:${listenPort}`,
        };
      if (process.frozen) return { kind: 'failed', reason: `the console of instance ${id} does not answer` };
    }
    const mismatches = instances.flatMap(({ id, ini }) => {
      const process = this.#process(id);
      const found = process === null ? [] : mismatchesOf(process, ini);
      return found.length === 0 ? [] : [`instance ${id} did not load its files: ${found.slice(0, 3).join('; ')}`];
    });
    return mismatches.length === 0 ? done : { kind: 'refused', reason: mismatches.join('; ') };
  }
}

const mismatchesOf = (process: PgBouncerProcess, ini: string): readonly string[] =>
  configMismatches(ini, {
    config: configRows(process),
    databases: databaseRows(process),
    users: userRows(process),
  });

const done: StepOutcome = { kind: 'done' };

/** Steps by whether they are done where nothing runs. */
const doings = { start: false, reload: false, pause: false, resume: true, drain: true, stop: true } as const;

const layoutOf = ({ name, listenAddress, instances }: UnitInMemory): Layout => ({
  listenAddress,
  authFile: `/memory/${name}/userlist.txt`,
  probe: { username: 'troupe_probe', verifier: new Secret('SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy') },
  retiring: [],
  instances: Array.from({ length: instances }, (_, index): InstanceLayout => {
    const id = index + 1;
    return { id, ini: `/memory/${name}/instances/${id}/pgbouncer.ini`, socketDir: `/memory/${name}/run/${id}` };
  }),
});

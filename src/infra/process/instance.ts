/**
 * One PgBouncer process and what this coordinator knows of it. The process lives in a session of its own and outlives us, so what
 * counts is not who started it but its mark (process id, start time, boot), kept in a record beside its files.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ConnectedClient, PgBouncerVersion, PoolFact } from '../../actors/model/workload.ts';
import type { Clock } from '../../actors/ports/clock.ts';
import { type Console, consoleAt, type Patience } from '../console/console.ts';
import type { Log } from '../files/log.ts';
import { versionAt } from '../instances/look.ts';
import type { Reached } from '../instances/reached.ts';
import { environment } from './environment.ts';
import { type LogOffset, logEnd, logSince, openLog } from './log-file.ts';
import { descriptorLimitOf, isAlive, markOf } from '../files/process-mark.ts';
import { isSystemError } from '../files/system-error.ts';
import type { InstancePlace } from './places.ts';
import { type ProcessRecord, readRecord, writeRecord } from './record.ts';
import {
  describeHolder,
  type HeldListener,
  type HeldSocket,
  heldBy,
  listenersOf,
  portOf,
  processesWithArgument,
  stillHolds,
  unixListeners,
} from '../instances/sockets.ts';

export interface Running extends ProcessRecord {
  /** For questions. Kept open, so closed before a drain. */
  readonly console: Console;
  paused: boolean;
  /** Null until its console was asked. */
  version: PgBouncerVersion | null;
  canary: string | null;
  /** As its console showed them last. */
  settings: Readonly<Record<string, string>> | null;
  pools: readonly PoolFact[] | null;
  /** Ends by itself when its last client has left; its console is left alone, because a console counts as a client. */
  draining: boolean;
  /** Databases that somebody halted on its console. */
  halted: readonly string[];
  /** How many files and connections the system lets it have open. */
  readonly descriptors: number | null;
  /** How far its log was read, and when it said last that it could take nobody for want of descriptors. */
  logRead: LogOffset;
  exhaustedAt: number;
  /** Asked in vain the last time. */
  silent: boolean;
  /** As it was seen to hold them. It keeps both until it drains or ends, so they are looked up once. */
  listeners: readonly HeldListener[];
  /** As its console showed them last, by address and port. */
  clients: ReadonlyMap<string, ConnectedClient>;
  consoleSocket: HeldSocket | null;
}

export interface InstanceContext {
  readonly clock: Clock;
  readonly log: Log;
  readonly exited: (id: number, how: string) => void;
}

export class Instance {
  readonly place: InstancePlace;
  readonly #context: InstanceContext;
  #running: Running | null = null;
  #recorded: Promise<void> = Promise.resolve();

  constructor(place: InstancePlace, context: InstanceContext) {
    this.place = place;
    this.#context = context;
  }

  get id(): number {
    return this.place.id;
  }

  /** The process as of now, adopted from the record when an earlier coordinator started it. */
  running(): Running | null {
    if (this.#running !== null && !isAlive(this.#running.mark)) this.#forget(this.#running);
    if (this.#running !== null) return this.#running;
    const record = readRecord(this.place.record);
    return record !== null && isAlive(record.mark) ? this.#adopt(record) : null;
  }

  /**
   * Finds a process of ours whose record is missing, because a coordinator died right after it started it, or could not write: the
   * one that was given our ini and takes connections. One that takes none has been told to drain, and is left to it.
   */
  async adoptUnrecorded(): Promise<void> {
    if (this.running() !== null) return;
    for (const pid of processesWithArgument(this.place.ini)) {
      const port = await portOf(pid);
      const mark = port === null ? null : markOf(pid);
      if (port === null || mark === null) continue;
      await this.#record(this.#adopt({ mark, port, socketDir: this.place.socketDir, paused: false }));
      return;
    }
  }

  /** `ended`: it ran and is gone already. Rejects when the program cannot be run. */
  async spawn(binary: string, port: number): Promise<Running | 'ended'> {
    using log = openLog(this.place.log);
    const child = spawn(binary, [this.place.ini], {
      cwd: this.place.directory,
      env: environment,
      stdio: ['ignore', log.fd, log.fd],
      detached: true,
    });
    child.once('exit', (code, signal) => {
      this.#context.log.info({ instance: this.id, pid: child.pid, code, signal }, 'instance ended');
      const running = this.#running;
      if (running !== null && running.mark.pid === child.pid) this.#forget(running);
      this.#context.exited(this.id, signal === null ? `ended with exit code ${code ?? 0}` : `was ended by ${signal}`);
    });
    await once(child, 'spawn');
    child.unref();
    const mark = child.pid === undefined ? null : markOf(child.pid);
    if (mark === null) return 'ended';
    const running = this.#know({ mark, port, socketDir: this.place.socketDir, paused: false });
    await this.#record(running);
    this.#context.log.info({ instance: this.id, pid: mark.pid }, 'instance started');
    return running;
  }

  /** Null when its console does not answer. */
  async version(running: Running, patience: Patience): Promise<PgBouncerVersion | null> {
    if (running.version !== null) return running.version;
    running.version = await versionAt(running.console, patience);
    return running.version;
  }

  /** Null when it does not run. */
  reached(): Reached | null {
    const running = this.running();
    if (running === null) return null;
    return {
      id: this.id,
      console: running.console,
      consoleOfItsOwn: () => consoleAt(this.#context.clock, running.socketDir, running.port),
      notePaused: async (paused) => {
        running.paused = paused;
        await this.#record(running);
      },
    };
  }

  /** Where this very process takes connections, at its port. None: it drains, or could not bind and runs on. */
  async addresses(running: Running): Promise<readonly string[]> {
    const { pid } = running.mark;
    const { listeners } = running;
    if (listeners.length === 0 || !listeners.every((listener) => stillHolds(pid, listener)))
      running.listeners = await listenersOf(pid, running.port);
    return running.listeners.map(({ address }) => address);
  }

  /** Nobody can open its console any more who has not: somebody removed the socket, or the directory. */
  async isUnlinked({ socketDir, port }: Running): Promise<boolean> {
    const found = await lstat(join(socketDir, `.s.PGSQL.${port}`)).catch(() => null);
    return found?.isSocket() !== true;
  }

  /** Notes what its log says since it was looked at last. */
  async readLog(running: Running): Promise<void> {
    const { log } = this.place;
    const end = await logEnd(log);
    if (end === running.logRead) return;
    const said = await logSince(log, running.logRead);
    running.logRead = end;
    if (said.includes(outOfDescriptors)) running.exhaustedAt = this.#context.clock.now();
  }

  /** Whether this very process takes connections at its port, and answers at the socket of its console. */
  async isReachable(running: Running): Promise<boolean> {
    return (await this.addresses(running)).length > 0 && (await this.#ownsConsole(running));
  }

  /** Somebody who listens in our socket directory. */
  async socketHolder(): Promise<string | null> {
    const [socket] = await unixListeners(this.#socketPrefix);
    return socket === undefined ? null : `${socket.path} is held by ${describeHolder(socket)}`;
  }

  /** What a process leaves behind that had no time to clean up. */
  async removeStaleSockets(): Promise<void> {
    const { socketDir } = this.place;
    const stale = (await readdir(socketDir)).filter((name) => name.startsWith('.s.PGSQL.'));
    await Promise.all(stale.map((name) => rm(join(socketDir, name), { force: true })));
  }

  async removeRecord(): Promise<void> {
    await rm(this.place.record, { force: true });
  }

  closeConsole(): void {
    this.#running?.console.close();
  }

  get #socketPrefix(): string {
    return join(this.place.socketDir, '.s.PGSQL.');
  }

  async #ownsConsole(running: Running): Promise<boolean> {
    const { mark, port, socketDir, consoleSocket } = running;
    if (consoleSocket !== null && stillHolds(mark.pid, consoleSocket)) return true;
    const sockets = await unixListeners(join(socketDir, `.s.PGSQL.${port}`));
    running.consoleSocket = heldBy(mark.pid, new Set(sockets.map(({ inode }) => inode)));
    return running.consoleSocket !== null;
  }

  #adopt(record: ProcessRecord): Running {
    this.#context.log.info({ instance: this.id, pid: record.mark.pid }, 'instance adopted');
    return this.#know(record);
  }

  #know(record: ProcessRecord): Running {
    const console = consoleAt(this.#context.clock, record.socketDir, record.port);
    const unseen = {
      version: null,
      canary: null,
      settings: null,
      pools: null,
      halted: [],
      listeners: [],
      clients: new Map(),
      consoleSocket: null,
    };
    const fromLog = { logRead: 0, exhaustedAt: Number.NEGATIVE_INFINITY };
    const descriptors = descriptorLimitOf(record.mark.pid);
    this.#running = { ...record, ...unseen, ...fromLog, descriptors, draining: false, silent: false, console };
    return this.#running;
  }

  #forget(running: Running): void {
    running.console.close();
    this.#running = null;
  }

  /** One write after the other: the file has one writer at a time. Without it the process is found by its arguments. */
  #record({ mark, port, socketDir, paused }: Running): Promise<void> {
    this.#recorded = this.#recorded.then(async () => {
      try {
        await writeRecord(this.place.record, { mark, port, socketDir, paused });
      } catch (cause) {
        if (!isSystemError(cause)) throw cause;
        this.#context.log.warn({ instance: this.id, err: cause }, 'the record of an instance cannot be written');
      }
    });
    return this.#recorded;
  }
}

const outOfDescriptors = 'accept() failed: Too many open files';

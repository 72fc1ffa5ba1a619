/**
 * One PgBouncer process and what this coordinator knows of it. The process lives in a session of its own and outlives us, so what
 * counts is not who started it but its mark (process id, start time, boot), kept in a record beside its files.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { PgBouncerVersion, PoolFact } from '../../actors/model/workload.ts';
import type { Clock } from '../../actors/ports/clock.ts';
import { versionIn } from '../../pgbouncer/show.ts';
import { type Console, consoleAt, type Patience } from '../console/console.ts';
import type { Log } from '../files/log.ts';
import { environment } from './environment.ts';
import { openLog } from './log-file.ts';
import { isAlive, markOf } from '../files/process-mark.ts';
import type { InstancePlace } from './places.ts';
import { type ProcessRecord, readRecord, writeRecord } from './record.ts';
import {
  describeHolder,
  type HeldListener,
  type HeldSocket,
  heldBy,
  holds,
  listenersOf,
  processesWithArgument,
  stillHolds,
  unixListeners,
} from './sockets.ts';

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
  /** Asked in vain the last time. */
  silent: boolean;
  /** As it was seen to hold them. It keeps both until it drains or ends, so they are looked up once. */
  listeners: readonly HeldListener[];
  consoleSocket: HeldSocket | null;
}

export interface InstanceContext {
  readonly clock: Clock;
  readonly log: Log;
  readonly exited: (id: number) => void;
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
   * Finds a process of ours whose record is missing, because a coordinator died right after it started it: the one that was given
   * our ini and listens in our socket directory.
   */
  async adoptUnrecorded(): Promise<void> {
    if (this.running() !== null) return;
    const [socket] = await unixListeners(this.#socketPrefix);
    if (socket === undefined) return;
    const pid = processesWithArgument(this.place.ini).find((candidate) => holds(candidate, new Set([socket.inode])));
    const mark = pid === undefined ? null : markOf(pid);
    if (mark === null) return;
    const port = Number(socket.path.slice(this.#socketPrefix.length));
    await this.#record(this.#adopt({ mark, port, socketDir: this.place.socketDir, paused: false }));
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
      this.#context.exited(this.id);
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
    const answer = await running.console.show('version', patience);
    running.version = answer.kind === 'answered' ? versionIn(answer.value) : null;
    return running.version;
  }

  /** To be known to the next coordinator, because before 1.19 PgBouncer itself cannot tell. */
  async notePaused(running: Running, paused: boolean): Promise<void> {
    running.paused = paused;
    await this.#record(running);
  }

  /** Where this very process takes connections, at its port. None: it drains, or could not bind and runs on. */
  async addresses(running: Running): Promise<readonly string[]> {
    const { pid } = running.mark;
    const { listeners } = running;
    if (listeners.length === 0 || !listeners.every((listener) => stillHolds(pid, listener)))
      running.listeners = await listenersOf(pid, running.port);
    return running.listeners.map(({ address }) => address);
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
    const unseen = { version: null, canary: null, settings: null, pools: null, listeners: [], consoleSocket: null };
    this.#running = { ...record, ...unseen, draining: false, silent: false, console };
    return this.#running;
  }

  #forget(running: Running): void {
    running.console.close();
    this.#running = null;
  }

  /** One write after the other: the file has one writer at a time. */
  #record({ mark, port, socketDir, paused }: Running): Promise<void> {
    const written = this.#recorded.then(() => writeRecord(this.place.record, { mark, port, socketDir, paused }));
    this.#recorded = written.catch(() => {}); // Whoever asked for it is told; the next one is not to blame.
    return written;
  }
}

/**
 * One service as Pebble keeps it: `starting` for a second, then `running`; ended by itself it does what its plan says, which is to
 * start again after a growing delay unless it says otherwise.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { becoming } from './small-account.ts';
import { durationMs, type ServiceConfig, wordsOf } from './small-layer.ts';

type State = 'starting' | 'running' | 'terminating' | 'killing' | 'stopped' | 'backoff' | 'exited';

export interface LogLine {
  readonly time: string;
  readonly service: string;
  readonly message: string;
}

export class SmallService {
  readonly name: string;
  readonly logs: LogLine[] = [];
  config: ServiceConfig;
  #state: State = 'stopped';
  #child: ChildProcess | null = null;
  #gone: Promise<unknown> = Promise.resolve();
  #backoffMs = 0;
  #backoff: NodeJS.Timeout | undefined;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #said: (line: LogLine) => void;

  constructor(
    name: string,
    config: ServiceConfig,
    environment: Readonly<Record<string, string>>,
    said: (line: LogLine) => void,
  ) {
    this.name = name;
    this.config = config;
    this.#environment = environment;
    this.#said = said;
  }

  get current(): 'active' | 'inactive' | 'backoff' | 'error' {
    switch (this.#state) {
      case 'starting':
      case 'running':
        return 'active';
      case 'terminating':
      case 'killing':
      case 'stopped':
        return 'inactive';
      case 'backoff':
        return 'backoff';
      case 'exited':
        return 'error';
    }
  }

  get isUp(): boolean {
    return this.#state === 'starting' || this.#state === 'running';
  }

  /** Resolves when it ran for a second. Rejects with a sentence. */
  async start(config: ServiceConfig): Promise<void> {
    this.config = config;
    if (this.isUp) return;
    if (this.#state === 'terminating' || this.#state === 'killing')
      throw new Error(`cannot start service while ${this.#state}`);
    clearTimeout(this.#backoff);
    this.#backoffMs = 0;
    const child = await this.#launch();
    this.#state = 'starting';
    const early = await Promise.race([once(child, 'exit'), new Promise<null>((ok) => setTimeout(ok, okayMs, null))]);
    if (early === null && this.#state === 'starting') this.#state = 'running';
    if (early === null) return;
    const [code, signal] = early;
    const action = actionOf(this.config, code === 0);
    throw new Error(`service start attempt: exited quickly with code ${exitCode(code, signal)}, will ${action}`);
  }

  /** SIGTERM to its process group, after the delay SIGKILL. */
  async stop(): Promise<void> {
    clearTimeout(this.#backoff);
    if (!this.isUp) {
      if (this.#state === 'backoff' || this.#state === 'exited') this.#state = 'stopped';
      return;
    }
    this.#state = 'terminating';
    this.#signalGroup('SIGTERM');
    const killing = setTimeout(
      () => {
        this.#state = 'killing';
        this.#signalGroup('SIGKILL');
      },
      durationMs(this.config['kill-delay'] ?? '5s'),
    );
    await this.#gone;
    clearTimeout(killing);
  }

  /** To the main process alone. Throws a sentence. */
  signal(name: NodeJS.Signals): void {
    if (!this.isUp || this.#child === null)
      throw new Error(`cannot send signal to "${this.name}": service is not running`);
    this.#child.kill(name);
  }

  /** With the container. */
  async end(): Promise<void> {
    clearTimeout(this.#backoff);
    if (this.#state === 'stopped' || this.#child === null) return;
    this.#state = 'killing';
    this.#signalGroup('SIGKILL');
    await this.#gone;
  }

  async #launch(): Promise<ChildProcess> {
    const { config } = this;
    const [program = '', ...args] = wordsOf(config.command ?? '');
    const account = await becoming(config.user);
    const home = account === undefined ? {} : { HOME: account.home, USER: account.name };
    const child = spawn(program, args, {
      cwd: config['working-dir'] ?? '/',
      env: { ...this.#environment, ...home, ...config.environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
    });
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on('line', (message) => this.#note(message));
    // 'close' would wait for whoever else holds its pipes.
    this.#gone = new Promise<void>((resolve) => {
      child.once('error', () => resolve());
      child.once('exit', (code) => {
        if (this.#child === child) this.#ended(code === 0);
        resolve();
      });
    });
    this.#child = child;
    try {
      await once(child, 'spawn');
    } catch (cause) {
      throw new Error(`cannot start service: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    }
    return child;
  }

  #ended(isSuccess: boolean): void {
    if (this.#state === 'terminating' || this.#state === 'killing') {
      this.#state = 'stopped';
      return;
    }
    if (actionOf(this.config, isSuccess) === 'restart') {
      this.#scheduleRestart();
      return;
    }
    this.#state = isSuccess ? 'stopped' : 'exited';
  }

  #scheduleRestart(): void {
    const limit = durationMs(this.config['backoff-limit'] ?? '30s');
    const factor = this.config['backoff-factor'] ?? 2;
    this.#backoffMs =
      this.#backoffMs === 0
        ? durationMs(this.config['backoff-delay'] ?? '500ms')
        : Math.min(this.#backoffMs * factor, limit);
    this.#state = 'backoff';
    this.#backoff = setTimeout(() => {
      this.#launch().then(
        () => {
          this.#state = 'running';
        },
        () => this.#scheduleRestart(),
      );
    }, this.#backoffMs);
  }

  #signalGroup(signal: NodeJS.Signals): void {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // It has ended meanwhile.
    }
  }

  #note(message: string): void {
    const line = { time: new Date().toISOString(), service: this.name, message };
    this.logs.push(line);
    this.#said(line);
    if (this.logs.length > keptLines) this.logs.shift();
  }
}

const okayMs = 1_000;
const keptLines = 1_000;

const actionOf = (config: ServiceConfig, isSuccess: boolean): string =>
  (isSuccess ? config['on-success'] : config['on-failure']) ?? 'restart';

const exitCode = (code: number | null, signal: NodeJS.Signals | null): string => String(code ?? signal);

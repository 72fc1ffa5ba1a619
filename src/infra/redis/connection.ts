/**
 * One RESP3 connection for commands and hints. Nothing is queued, retried or sent again by the client: a command was answered, or
 * the caller hears within a second that it was not. Everything that fails is BackplaneUnavailable, with what is known about it.
 *
 * A frozen server or a black hole is noticed by the next command (the unit beats every second): it times out after 1 s, and the
 * socket is given up after 1.5 s without an answer. So no extra PING is sent.
 */
import { Redis, type RedisOptions } from 'ioredis';
import type { Secret } from '../../actors/model/secret.ts';
import { BackplaneUnavailable } from '../../actors/ports/backplane.ts';
import type { Log } from '../files/log.ts';
import { failureOf, isRefusedLogin, sentenceOf } from './failure.ts';
import { checkServer } from './server-check.ts';

export interface ConnectionOptions {
  readonly url: string;
  readonly password: Secret | null;
  readonly ca: string | null;
  /** Shown by CLIENT LIST. */
  readonly name: string;
  /** 1 s, where it is not said. */
  readonly answerWithinMs?: number | undefined;
  readonly log: Log;
  readonly onHint: () => void;
}

export class Connection {
  readonly #redis: Redis;
  readonly #where: string;
  readonly #log: Log;
  readonly #onHint: () => void;
  readonly #attemptMs: number;
  readonly #channels = new Set<string>();
  /** Counts connections that became ready. */
  #turn = 0;
  #trouble: Error | null = null;
  #refusedLogins = 0;
  #tooOld: string | null = null;
  #reported: 'nothing' | 'up' | 'down' = 'nothing';
  #firstAttempt = Promise.withResolvers<void>();

  constructor({ url, password, ca, name, answerWithinMs = 1_000, log, onHint }: ConnectionOptions) {
    const target = targetOf(url);
    this.#where = target.where;
    this.#log = log;
    this.#onHint = onHint;
    this.#attemptMs = 1.5 * answerWithinMs;
    this.#redis = new Redis({
      ...target.options,
      ...(target.tls ? { tls: ca === null ? {} : { ca } } : {}),
      ...(password === null ? {} : { password: password.reveal() }),
      ...profile,
      commandTimeout: answerWithinMs,
      socketTimeout: this.#attemptMs,
      connectTimeout: this.#attemptMs,
      connectionName: name,
    });
    this.#redis.on('error', (cause: Error) => this.#failed(cause));
    this.#redis.on('close', () => this.#closed());
    this.#redis.on('ready', () => void this.#ready());
    this.#redis.on('message', () => this.#onHint());
  }

  /** Changes with each new connection: what was known of the store must be looked at again. */
  get turn(): number {
    return this.#turn;
  }

  /** Why the server will not have us; null while that is not so. */
  get refusal(): string | null {
    if (this.#tooOld !== null) return this.#tooOld;
    if (this.#refusedLogins < refusalsThatCount || this.#trouble === null) return null;
    return `the store at ${this.#where} refuses this unit's login (${this.#trouble.message}): check the password and the rights of its user`;
  }

  /** Resolves when the first attempt to connect has come to something, or its time is over. */
  async settled(): Promise<void> {
    const timer = setTimeout(this.#firstAttempt.resolve, this.#attemptMs);
    await this.#firstAttempt.promise;
    clearTimeout(timer);
  }

  async run<T>(operation: string, command: (redis: Redis) => Promise<T>): Promise<T> {
    try {
      return await command(this.#redis);
    } catch (cause) {
      throw this.#unavailable(operation, cause);
    }
  }

  /** Listens on the channel from now on, over reconnects. */
  listen(channel: string): void {
    if (this.#channels.has(channel)) return;
    this.#channels.add(channel);
    if (this.#redis.status === 'ready') void this.#subscribe([channel]);
  }

  async stopListening(channel: string): Promise<void> {
    if (!this.#channels.delete(channel) || this.#redis.status !== 'ready') return;
    await this.#redis.unsubscribe(channel).catch((cause: unknown) => this.#deaf(cause));
  }

  close(): void {
    this.#firstAttempt.resolve();
    this.#redis.disconnect();
  }

  /** Subscribes before anybody reads on this connection, so that no change falls between. Then: look again. */
  async #ready(): Promise<void> {
    this.#turn += 1;
    this.#trouble = null;
    this.#refusedLogins = 0;
    const subscribed = this.#subscribe([...this.#channels]);
    this.#report('up');
    await subscribed;
    this.#tooOld = await checkServer(this.#redis, this.#where, this.#log, this.#turn === 1);
    this.#firstAttempt.resolve();
    this.#onHint();
  }

  async #subscribe(channels: readonly string[]): Promise<void> {
    if (channels.length === 0) return;
    await this.#redis.subscribe(...channels).catch((cause: unknown) => this.#deaf(cause));
  }

  /** Without hints a unit still sees everything with its next beat. */
  #deaf(cause: unknown): void {
    this.#log.warn(
      { store: this.#where, reason: sentenceOf(cause) },
      'no hints from the store: changes are seen by the next beat',
    );
  }

  #failed(cause: Error): void {
    this.#trouble = cause;
    this.#refusedLogins = isRefusedLogin(cause) ? this.#refusedLogins + 1 : 0;
    this.#firstAttempt.resolve();
  }

  #closed(): void {
    this.#firstAttempt.resolve();
    this.#report('down');
  }

  /** Once per change, not per attempt. */
  #report(state: 'up' | 'down'): void {
    if (state === this.#reported) return;
    this.#reported = state;
    if (state === 'up') this.#log.info({ store: this.#where }, 'connected to the store');
    else this.#log.warn({ store: this.#where, reason: this.#reason() }, 'no connection to the store');
  }

  #unavailable(operation: string, cause: unknown): BackplaneUnavailable {
    const failure = failureOf(cause);
    if (failure === 'partial') {
      this.#log.error({ store: this.#where, operation, reason: sentenceOf(cause) }, 'a command to the store broke off');
    }
    const away = this.#redis.status !== 'ready' && failure !== 'partial';
    const reason = away
      ? `no connection to ${this.#where} (${this.#reason()})`
      : `${this.#where}: ${sentenceOf(cause)}`;
    return new BackplaneUnavailable(`cannot ${operation}: ${reason}`, { cause });
  }

  #reason(): string {
    return this.#trouble === null ? 'it was closed' : sentenceOf(this.#trouble);
  }
}

/** After so many in a row it is no accident of a restart. */
const refusalsThatCount = 3;

/** `backplane.md` 6.1. Its wait between attempts stays below a third of the lease. */
const profile = {
  protocol: 3,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  // The client would subscribe again by itself and let a failure of that end the process.
  autoResubscribe: false,
  enableAutoPipelining: false,
  disableClientInfo: true,
  maxLoadingRetryTime: 500,
  keepAlive: 5_000,
  retryStrategy: (attempt: number) => Math.random() * Math.min(50 * 2 ** Math.min(attempt, 6), 1_500),
} as const satisfies RedisOptions;

interface Target {
  readonly options: { readonly host: string; readonly port: number; readonly username?: string; readonly db: number };
  readonly tls: boolean;
  /** For people, without credentials. */
  readonly where: string;
}

export const targetOf = (url: string): Target => {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !schemes.has(parsed.protocol) || parsed.hostname === '') {
    throw new Error(
      `cannot use the backplane "${withoutPassword(url)}": it must look like redis://host:6379 or rediss://host:6379`,
    );
  }
  if (parsed.password !== '') {
    throw new Error(
      'cannot use the backplane: its URL holds a password; put the password into a file and name that file instead',
    );
  }
  const port = parsed.port === '' ? 6379 : Number(parsed.port);
  const host = parsed.hostname.replace(/^\[|\]$/g, '');
  const username = decodeURIComponent(parsed.username);
  const db = /^\/\d+$/.test(parsed.pathname) ? Number(parsed.pathname.slice(1)) : 0;
  return {
    options: { host, port, db, ...(username === '' ? {} : { username }) },
    tls: parsed.protocol === 'rediss:',
    where: `${parsed.protocol}//${parsed.hostname}:${port}`,
  };
};

const schemes: ReadonlySet<string> = new Set(['redis:', 'rediss:']);
const withoutPassword = (url: string): string => url.replace(/\/\/[^@/]*@/, '//');

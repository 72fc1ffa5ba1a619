/**
 * PgBouncer's admin console as a client: the database `pgbouncer`, which speaks the simple protocol only, one command a message.
 * Over an instance's own unix socket the user `pgbouncer` needs no password when both sides run under the same user id, whatever
 * the configuration says. Answers are values; nothing here rejects.
 */
import { Socket } from 'node:net';
import { Client, DatabaseError } from 'pg';
import type { Secret } from '../../actors/model/secret.ts';
import type { Clock } from '../../actors/ports/clock.ts';
import type { ConsoleRow } from '../../actors/ports/workload.ts';
import { afterListening } from './patience.ts';

export interface ConsoleAccess {
  /** Directory of the unix socket, or an address. */
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly password: Secret | null;
}

export type Answer<T> =
  | { readonly kind: 'answered'; readonly value: T }
  /** PgBouncer says no, in its own words. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** Nobody listens there. */
  | { readonly kind: 'absent'; readonly reason: string }
  /** No answer in time, or the connection broke. Whether a command was carried out is unknown. */
  | { readonly kind: 'silent'; readonly reason: string };

export type Show = 'version' | 'state' | 'config' | 'databases' | 'users' | 'pools' | 'clients' | 'peers' | 'lists';
export type Command = 'RELOAD' | 'PAUSE' | 'RESUME' | `RECONNECT "${string}"`;

export interface Patience {
  readonly withinMs: number;
  readonly signal: AbortSignal;
}

/**
 * One connection, made when it is needed and kept. An open one counts as a client: it keeps a draining instance alive, so `close`
 * it before a drain. A command that blocks (PAUSE) wants a console of its own.
 */
export interface Console extends Disposable {
  show(what: Show, patience: Patience): Promise<Answer<readonly ConsoleRow[]>>;
  /** `already`: so it was before. */
  command(command: Command, patience: Patience): Promise<Answer<'done' | 'already'>>;
  /** The same about one database. */
  commandOn(command: 'RESUME' | 'ENABLE', database: string, patience: Patience): Promise<Answer<'done' | 'already'>>;
  /** Closes the connection; the next question makes a new one. */
  close(): void;
}

/** The console of the instance with this socket directory, as the one user that no setting can lock out. */
export const consoleAt = (clock: Clock, socketDir: string, port: number): Console =>
  openConsole(clock, { host: socketDir, port, username: 'pgbouncer', password: null });

export const openConsole = (clock: Clock, access: ConsoleAccess): Console => {
  let connection: Connection | null = null;
  let turn: Promise<unknown> = Promise.resolve();

  const drop = (): void => {
    connection?.socket.destroy();
    connection = null;
  };
  const close = (): void => {
    const closing = connection;
    connection = null;
    if (closing !== null) endPolitely(closing);
  };
  const converse = async (text: string): Promise<readonly ConsoleRow[]> => {
    if (connection === null || connection.socket.destroyed) connection = connectionTo(access);
    const current = connection;
    try {
      await current.ready;
      current.answering = true;
      return (await current.client.query<ConsoleRow>(text)).rows;
    } catch (cause) {
      if (current === connection && endsConnection(cause)) drop();
      throw cause;
    } finally {
      current.answering = false;
    }
  };
  const ask = (text: string, patience: Patience): Promise<Answer<readonly ConsoleRow[]>> => {
    const answer = turn.then(async () => {
      const given = await bounded(clock, patience, converse(text));
      if (given.kind === 'silent') drop();
      return given;
    });
    turn = answer;
    return answer;
  };

  return {
    show: (what, patience) => ask(`SHOW ${what.toUpperCase()}`, patience),
    command: async (command, patience) => outcomeOf(await ask(command, patience)),
    commandOn: async (command, database, patience) =>
      outcomeOf(await ask(`${command} "${database.replaceAll('"', '""')}"`, patience)),
    close,
    [Symbol.dispose]: close,
  };
};

interface Connection {
  readonly client: ConsoleClient;
  /** Held apart from the client, because only destroying it lets go of a process that answers nothing. */
  readonly socket: Socket;
  readonly ready: Promise<unknown>;
  answering: boolean;
}

/** Says who it is and nothing else: startup parameters from the environment (PGOPTIONS) would have the login refused. */
class ConsoleClient extends Client {
  getStartupConf(): Readonly<Record<string, string | undefined>> {
    return { user: this.user, database: this.database, application_name: 'troupe' };
  }
}

const asText = { getTypeParser: () => (text: string) => text };

const connectionTo = ({ host, port, username, password }: ConsoleAccess): Connection => {
  const socket = new Socket();
  const client = new ConsoleClient({
    host,
    port,
    user: username,
    // A function, so that neither the environment nor a password file of the account is looked at.
    password: () => password?.reveal() ?? '',
    database: 'pgbouncer',
    ssl: false,
    sslnegotiation: 'postgres',
    client_encoding: 'utf8',
    types: asText,
    stream: () => socket,
  });
  client.on('error', () => {}); // A connection that breaks fails the question under way; between questions nobody minds.
  return { client, socket, ready: client.connect(), answering: false };
};

/** Ends with the answer, when patience ends, or when the caller no longer wants it; whichever is first. */
const bounded = async <T>(clock: Clock, { withinMs, signal }: Patience, work: Promise<T>): Promise<Answer<T>> => {
  const ended = Promise.withResolvers<Answer<T>>();
  const silent = (reason: string): void => ended.resolve({ kind: 'silent', reason });
  const cancel = (): void => silent('the question was cancelled');
  using _waiting = afterListening(clock, withinMs, () => silent(`no answer within ${withinMs} ms`));
  if (signal.aborted) cancel();
  signal.addEventListener('abort', cancel, { once: true });
  work.then(
    (value) => ended.resolve({ kind: 'answered', value }),
    (cause: unknown) => ended.resolve(troubleOf(cause)),
  );
  try {
    return await ended.promise;
  } finally {
    signal.removeEventListener('abort', cancel);
  }
};

type Trouble = Exclude<Answer<never>, { readonly kind: 'answered' }>;

const troubleOf = (cause: unknown): Trouble => {
  if (cause instanceof DatabaseError) return { kind: 'refused', reason: cause.message };
  const reason = cause instanceof Error ? cause.message : String(cause);
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  return { kind: code === 'ENOENT' || code === 'ECONNREFUSED' ? 'absent' : 'silent', reason };
};

/** A command that is refused leaves the connection as it was; a login that is refused, or a shutdown, ends it. */
const endsConnection = (cause: unknown): boolean => !(cause instanceof DatabaseError) || cause.severity === 'FATAL';

/** Says good-bye, so that PgBouncer does not log a lost client, and does not wait for a process that may be frozen. */
const endPolitely = ({ client, socket, answering }: Connection): void => {
  if (answering || socket.connecting) {
    socket.destroy();
    return;
  }
  socket.once('finish', () => socket.destroy());
  void client.end();
};

const outcomeOf = (answer: Answer<readonly ConsoleRow[]>): Answer<'done' | 'already'> => {
  if (answer.kind === 'answered') return { kind: 'answered', value: 'done' };
  if (answer.kind === 'refused' && isAlreadySo(answer.reason)) return { kind: 'answered', value: 'already' };
  return answer;
};

/** `already suspended/paused` and `pooler is not paused/suspended` up to 1.25; shorter since. */
const isAlreadySo = (reason: string): boolean => /already .*paused|is not paused/.test(reason);

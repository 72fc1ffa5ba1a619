import { Socket } from 'node:net';
import { Client, type QueryResultRow } from 'pg';
import type { BackendAccess, BackendServer } from '../../actors/model/backend.ts';
import { calledOff, isWithoutTls } from './trouble.ts';

export interface SessionOptions {
  readonly access: BackendAccess;
  readonly server: BackendServer;
  readonly database: string;
  /** `application_name`. */
  readonly name: string;
  readonly patience: Patience;
  /** Hears the server's first word of a SCRAM login: salt and iterations of the secret it has. */
  readonly onChallenge?: (challenge: string) => void;
  /** Says no more than who it is, and hears the challenge; where none comes it is refused, or let in. */
  readonly knocksOnly?: boolean;
  /** It changes nothing, and is given what the server gives everybody. */
  readonly looksOnly?: boolean;
}

/** How long one statement may take, how long it may wait for a lock of somebody else, and how long a server may take to let us in. */
export interface Patience {
  readonly connectMs?: number;
  readonly statementMs: number;
  readonly lockMs: number;
}

/** One connection. A statement that fails for want of an answer ends it. */
export interface Session extends AsyncDisposable {
  readonly isOpen: boolean;
  /** A statement without an answer to read. */
  run(sql: string): Promise<void>;
  rows<Row extends QueryResultRow>(sql: string, values?: readonly unknown[]): Promise<readonly Row[]>;
}

/** Encrypted when the server can, like libpq's `prefer`: against listeners, without proof of who the server is. */
export const openSession = async (options: SessionOptions, signal: AbortSignal): Promise<Session> => {
  try {
    return await connect(options, { rejectUnauthorized: false }, signal);
  } catch (cause) {
    if (isWithoutTls(cause)) return connect(options, false, signal);
    throw cause;
  }
};

const usualConnectMs = 2_000;
/** A frozen server cannot end its own statement, so that we stop waiting a little after it should have. */
const answerGraceMs = 500;
const farewellMs = 500;
const idleInTransactionMs = 30_000;

const connect = async (
  { access, server, database, name, patience, onChallenge, knocksOnly, looksOnly = false }: SessionOptions,
  ssl: false | { readonly rejectUnauthorized: boolean },
  signal: AbortSignal,
): Promise<Session> => {
  if (signal.aborted) throw new Error(calledOff);
  const socket = new Socket();
  const client = new Client({
    ...server,
    user: access.username,
    // Of an empty one pg derives no key; from a function it takes it as it is.
    password: knocksOnly === true ? () => '' : access.password.reveal(),
    database,
    ssl,
    application_name: name,
    options: optionsOf(looksOnly ? safeSettings : [...safeSettings, 'default_transaction_read_only=off']),
    connectionTimeoutMillis: patience.connectMs ?? usualConnectMs,
    statement_timeout: patience.statementMs,
    lock_timeout: patience.lockMs,
    idle_in_transaction_session_timeout: idleInTransactionMs,
    query_timeout: patience.statementMs + answerGraceMs,
    keepAlive: true,
    stream: () => socket,
  });
  const session = sessionOf(client, socket);
  client.connection.once('authenticationSASLContinue', ({ data }: { readonly data: string }) => onChallenge?.(data));
  const abort = (): void => {
    socket.destroy(new Error(calledOff));
  };
  signal.addEventListener('abort', abort, { once: true });
  socket.once('close', () => signal.removeEventListener('abort', abort));
  try {
    await client.connect();
    return session;
  } catch (cause) {
    socket.destroy();
    throw cause;
  }
};

/**
 * Our sessions enter databases that belong to clients, with the rights of an administrator: nothing a client can create may be
 * found by name, and nothing it can set for its database may reach us.
 */
const safeSettings = [
  'search_path=pg_catalog,pg_temp',
  'role=none',
  'default_transaction_isolation=read\\ committed',
  'standard_conforming_strings=on',
];
const optionsOf = (settings: readonly string[]): string => settings.map((setting) => `-c ${setting}`).join(' ');

const sessionOf = (client: Client, socket: Socket): Session => {
  client.on('error', () => socket.destroy()); // The statement under way, or the next one, says what happened.
  return {
    get isOpen() {
      return socket.writable;
    },
    run: async (sql) => {
      await client.query(sql);
    },
    rows: async <Row extends QueryResultRow>(sql: string, values: readonly unknown[] = []) =>
      (await client.query<Row>(sql, [...values])).rows,
    /** Says farewell, and does not wait for a server that hears nothing any more. */
    [Symbol.asyncDispose]: async () => {
      if (socket.destroyed) return;
      socket.setTimeout(farewellMs, () => socket.destroy());
      await client.end();
    },
  };
};

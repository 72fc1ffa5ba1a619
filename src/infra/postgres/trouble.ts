import { DatabaseError } from 'pg';

/** What a connection ends with when its caller no longer wants it. */
export const calledOff = 'it was called off';

/** `away` may pass by itself; `refused` needs a person. `words` are PostgreSQL's own, and never hold a password. */
export interface Trouble {
  readonly kind: 'away' | 'refused';
  readonly code: string;
  readonly words: string;
}

/** What goes wrong although PostgreSQL answers, and passes: a repetition finds it done. */
export class StillBusy extends Error {
  override readonly name = 'StillBusy';
}

/** What went wrong out there, or null when `cause` is a defect of ours. The only place that knows SQLSTATEs and messages of pg. */
export const troubleOf = (cause: unknown): Trouble | null => {
  if (cause instanceof DatabaseError) return troubleOfAnswer(cause);
  if (!(cause instanceof Error)) return null;
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : '';
  if (cause.message.startsWith('SASL:')) {
    return { kind: 'refused', code, words: `${cause.message}; is this the server that was meant?` };
  }
  return isNoAnswer(cause, code) ? { kind: 'away', code, words: wordsOf(cause, code) } : null;
};

/** The database asked for is not there, or does not take connections yet. */
export const isAbsentDatabase = (cause: unknown): boolean =>
  cause instanceof DatabaseError && (cause.code === '3D000' || cause.code === '55000');

/** It has no room for another connection; those that are open go on. */
export const isCrowded = (cause: unknown): boolean => cause instanceof DatabaseError && cause.code === '53300';

export const isAbsentTable = (cause: unknown): boolean =>
  cause instanceof DatabaseError && (cause.code === '42P01' || cause.code === '3F000');

/** The password is not the one it has. */
export const isWrongSecret = (cause: unknown): boolean => cause instanceof DatabaseError && cause.code === '28P01';

export const isForbidden = (cause: unknown): boolean => cause instanceof DatabaseError && cause.code === '42501';

export const isWithoutTls = (cause: unknown): boolean =>
  cause instanceof Error && cause.message === 'The server does not support SSL connections';

const troubleOfAnswer = (error: DatabaseError): Trouble => {
  const code = error.code ?? '';
  return { kind: mayPass(code, error.message) ? 'away' : 'refused', code, words: wordsOfAnswer(error, code) };
};

const mayPass = (code: string, message: string): boolean =>
  passing.has(code) ||
  (code.startsWith('53') && code !== '53100') ||
  passingClasses.has(code.slice(0, 2)) ||
  // The one internal error that only means "somebody changed it at the same moment".
  (code === 'XX000' && message.startsWith('tuple concurrently'));

/** Connection exceptions, transaction rollbacks, invalid transaction states (a session that was ended in between). */
const passingClasses: ReadonlySet<string> = new Set(['08', '40']);
const passing: ReadonlySet<string> = new Set([
  '25006', // Read-only: it is a standby by now.
  '25P03', // We were idle in a transaction for too long.
  '23505', // Made by somebody else at the same moment, as are the next two.
  '42710',
  '42P04',
  '42704', // Gone since we looked, as are the next two.
  '3F000',
  '42P01',
  '55006', // In use, for instance template1 during CREATE DATABASE.
  '55P03', // Lock timeout.
  '57014', // Statement timeout.
  '57P01',
  '57P02',
  '57P03',
  '57P04',
  '57P05',
]);

const wordsOfAnswer = (error: DatabaseError, code: string): string => {
  const more = [error.detail, error.hint, adviceFor[code]].filter((text) => text !== undefined && text !== '');
  return [`PostgreSQL says: ${error.message} (${code})`, ...more].join('; ');
};

const adviceFor: Readonly<Record<string, string | undefined>> = {
  '28P01': 'give the backend the right username and password',
  '28000': 'allow this login from this host in pg_hba.conf, or give the backend another username',
  '3D000': 'name a database that exists as the maintenance database of the backend',
  '53100': 'free disk space there',
  '53300': 'raise max_connections there, lower max_db_connections, or end sessions that are not of PgBouncer',
};

/** Sockets and TLS have codes; pg has none for a connection that broke. A wrong argument has a code too, and is our defect. */
const isNoAnswer = (cause: Error, code: string): boolean =>
  cause instanceof StillBusy ||
  cause instanceof AggregateError ||
  (code !== '' && !(cause instanceof TypeError) && !(cause instanceof RangeError)) ||
  Object.hasOwn(wordsFor, cause.message);

const wordsFor: Readonly<Record<string, string | undefined>> = {
  'timeout expired': 'no answer in time',
  'Query read timeout': 'no answer in time',
  'Connection terminated': 'the connection was closed',
  'Connection terminated unexpectedly': 'the connection broke',
  'Client has encountered a connection error and is not queryable': 'the connection broke',
  'Client was closed and is not queryable': 'the connection was closed',
  'There was an error establishing an SSL connection': 'it does not answer as PostgreSQL does',
  [calledOff]: calledOff,
};

const wordsOf = (cause: Error, code: string): string => {
  if (cause instanceof AggregateError && cause.errors.length > 0) {
    return cause.errors.map((each: unknown) => (each instanceof Error ? each.message : String(each))).join(', ');
  }
  return wordsFor[cause.message] ?? (cause.message === '' ? code : cause.message);
};

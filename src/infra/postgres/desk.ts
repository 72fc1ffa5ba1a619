import { escapeIdentifier } from 'pg';
import type { PostgresOutcome } from '../../actors/model/backend.ts';
import type { Leadership } from '../../actors/model/leadership.ts';
import type { Session } from './session.ts';

/** Where a step is done: in whose name, and how to get into a database. */
export interface Desk {
  readonly application: string;
  readonly leadership: Leadership;
  /** In our own database, where the fence is. */
  readonly fence: Session;
  readonly self: Administrator;
  enter(database: string): Promise<Session>;
}

/** The login we administer with, as PostgreSQL sees it. */
export interface Administrator {
  readonly name: string;
  readonly isSuperuser: boolean;
  /** `server_version_num`. */
  readonly version: number;
}

export const done: PostgresOutcome = { kind: 'done' };
export const refused = (reason: string): PostgresOutcome => ({ kind: 'refused', reason });

/** Stops at the first part that is not done. */
export const inOrder = async (...parts: readonly (() => Promise<PostgresOutcome>)[]): Promise<PostgresOutcome> => {
  for (const part of parts) {
    const outcome = await part();
    if (outcome.kind !== 'done') return outcome;
  }
  return done;
};

export const administratorOf = async (session: Session): Promise<Administrator> => {
  const [self] = await session.rows<Administrator>(
    `SELECT rolname::text AS name, rolsuper AS "isSuperuser", current_setting('server_version_num')::int AS version
       FROM pg_roles WHERE rolname = session_user`,
  );
  if (self === undefined) throw new Error('PostgreSQL does not know the login of its own session');
  return self;
};

/**
 * Takes part in a role of ours, to act for it. Making a role is enough for that before PostgreSQL 16; since then it gives the right
 * to grant it (ADMIN), also to oneself, and nothing else.
 */
export const takePartIn = async (session: Session, self: Administrator, role: string): Promise<void> => {
  if (!self.isSuperuser) await session.run(grantOf(self, role, self.name));
};

export const grantOf = ({ version }: Administrator, role: string, member: string): string => {
  const options = version >= 160_000 ? ' WITH INHERIT TRUE, SET TRUE' : '';
  return `GRANT ${escapeIdentifier(role)} TO ${escapeIdentifier(member)}${options}`;
};

/** Ends these sessions and waits a little for their end. True when none is left. */
export const endSessions = async (session: Session, which: string, values: readonly unknown[]): Promise<boolean> => {
  const others = `FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND ${which}`;
  await session.rows(`SELECT pg_terminate_backend(pid, ${endingMs}) ${others}`, values);
  await session.run('SELECT pg_stat_clear_snapshot()'); // Within a transaction the view would not change.
  return (await session.rows(`SELECT pid ${others}`, values)).length === 0;
};

const endingMs = 2_000;

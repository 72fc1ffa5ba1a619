import type { BackendAccess } from '../../actors/model/backend.ts';
import type { Clock } from '../../actors/ports/clock.ts';
import { serverOf } from './endpoint.ts';
import type { Identity, ServerState, Sighting } from './facts.ts';
import { lookingSessionsOf } from './names.ts';
import type { Session } from './session.ts';
import { isForbidden, troubleOf } from './trouble.ts';
import { createVisits } from './visits.ts';

/** Looks at servers, each over one connection that is kept for the next look. */
export interface Looker extends AsyncDisposable {
  /** All endpoints side by side; what is wrong with one is a sighting too. */
  look(access: BackendAccess, signal: AbortSignal): Promise<readonly Sighting[]>;
}

export const createLooker = (application: string, clock: Clock): Looker => {
  const visits = createVisits({ name: lookingSessionsOf(application), clock, patience, oldestMs: 3_000 });
  const lookAt = async (access: BackendAccess, endpoint: string, signal: AbortSignal): Promise<Sighting> => {
    const server = serverOf(endpoint);
    if (server === null) return { endpoint, kind: 'refused', reason: 'this is not host:port' };
    try {
      const seen = await visits.visit({ access, server, database: access.maintenanceDatabase }, see, signal);
      return { endpoint, kind: 'seen', server, ...seen };
    } catch (cause) {
      const trouble = troubleOf(cause);
      if (trouble === null) throw cause;
      return { endpoint, kind: trouble.kind, reason: trouble.words };
    }
  };
  return {
    look: (access, signal) => Promise.all(access.endpoints.map((endpoint) => lookAt(access, endpoint, signal))),
    [Symbol.asyncDispose]: () => visits[Symbol.asyncDispose](),
  };
};

/** A silent server is tried over the kept connection and over a new one, and is away within 3 s. */
const patience = { connectMs: 1_500, statementMs: 1_000, lockMs: 1_000 };

const see = async (session: Session): Promise<{ readonly identity: Identity; readonly state: ServerState }> => {
  const state = await stateOf(session);
  const known = identities.get(session);
  if (known !== undefined) return { identity: known, state };
  const identity = await identityOf(session);
  identities.set(session, identity);
  return { identity, state };
};

/** What does not change while a connection lasts. */
const identities = new WeakMap<Session, Identity>();

const identityOf = async (session: Session): Promise<Identity> => {
  const [identity] = await session.rows<Omit<Identity, 'systemId'>>(
    `SELECT pg_postmaster_start_time()::text AS "startedAt", current_setting('server_version_num')::int AS version,
            current_setting('max_connections')::int AS "maxConnections",
            current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
              - coalesce(current_setting('reserved_connections', true), '0')::int AS "clientConnections"`,
  );
  if (identity === undefined) throw new Error('a SELECT without FROM gave no row');
  return { ...identity, systemId: await systemIdOf(session) };
};

const systemIdOf = async (session: Session): Promise<string | null> => {
  try {
    const [row] = await session.rows<{ id: string }>('SELECT system_identifier::text AS id FROM pg_control_system()');
    return row?.id ?? null;
  } catch (cause) {
    if (isForbidden(cause)) return null; // Everybody may, unless somebody took it away.
    throw cause;
  }
};

/**
 * The timeline is that of what is being written: after a promotion the control file still shows the old one for a while. Read-only is
 * what the server gives every session, which shows where no login, database or command line overrides it.
 */
const stateOf = async (session: Session): Promise<ServerState> => {
  const [state] = await session.rows<ServerState>(
    `SELECT pg_is_in_recovery() AS "inRecovery", rolsuper AS "isSuperuser", rolcreaterole AS "canCreateRole",
            rolcreatedb AS "canCreateDatabase", rolinherit AS inherits,
            CASE WHEN NOT pg_is_in_recovery()
              THEN ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END AS timeline,
            EXISTS (SELECT FROM pg_settings WHERE name = 'default_transaction_read_only' AND reset_val = 'on'
                       AND source IN ('configuration file', 'command line', 'global')) AS "isReadOnly",
            (SELECT sum(numbackends) FROM pg_stat_database) >= current_setting('max_connections')::int
              - current_setting('superuser_reserved_connections')::int
              - coalesce(current_setting('reserved_connections', true), '0')::int AS "isFull"
       FROM pg_roles WHERE rolname = session_user`,
  );
  if (state === undefined) throw new Error('PostgreSQL does not know the login of its own session');
  return state;
};

import type { BackendAccess, BackendServer } from '../../actors/model/backend.ts';
import type { Secret } from '../../actors/model/secret.ts';
import type { Clock } from '../../actors/ports/clock.ts';
import { serverOf } from './endpoint.ts';
import type { Identity, ServerState, Sighting } from './facts.ts';
import { lookingSessionsOf } from './names.ts';
import { openSession, type Session } from './session.ts';
import { createShelf } from './shelf.ts';
import { isForbidden, troubleOf } from './trouble.ts';

/** Looks at servers, each over one connection that is kept for the next look. */
export interface Looker extends AsyncDisposable {
  /** All endpoints side by side; what is wrong with one is a sighting too. */
  look(access: BackendAccess, signal: AbortSignal): Promise<readonly Sighting[]>;
}

export const createLooker = (application: string, clock: Clock): Looker => {
  const shelf = createShelf<View>(clock, idleMs);
  const view = async (access: BackendAccess, server: BackendServer, signal: AbortSignal): Promise<Looked> => {
    const key = keyOf(access, server);
    const kept = await fit(shelf.take(key), access, clock.now());
    const looked =
      (kept && (await again(kept, signal))) ?? (await afresh(application, access, server, clock.now(), signal));
    await shelf.put(key, looked.view);
    return looked;
  };
  const lookAt = async (access: BackendAccess, endpoint: string, signal: AbortSignal): Promise<Sighting> => {
    const server = serverOf(endpoint);
    if (server === null) return { endpoint, kind: 'refused', reason: 'this is not host:port' };
    try {
      const looked = await view(access, server, signal);
      return { endpoint, kind: 'seen', server, identity: looked.view.identity, state: looked.state };
    } catch (cause) {
      const trouble = troubleOf(cause);
      if (trouble === null) throw cause;
      return { endpoint, kind: trouble.kind, reason: trouble.words };
    }
  };
  return {
    look: (access, signal) => Promise.all(access.endpoints.map((endpoint) => lookAt(access, endpoint, signal))),
    [Symbol.asyncDispose]: () => shelf[Symbol.asyncDispose](),
  };
};

/** Longer than the leader's next look is away, so that who no longer looks keeps nothing open for long. */
const idleMs = 15_000;
const oldestMs = 60_000;
const patience = { statementMs: 2_000, lockMs: 1_000 };

interface View extends AsyncDisposable {
  readonly session: Session;
  readonly identity: Identity;
  readonly password: Secret;
  /** Monotonic ms. */
  readonly since: number;
  /** Ends the session in the middle of a statement. */
  readonly cutter: AbortController;
}
interface Looked {
  readonly view: View;
  readonly state: ServerState;
}

const keyOf = ({ name, username, maintenanceDatabase }: BackendAccess, { host, port }: BackendServer): string =>
  JSON.stringify([name, host, port, username, maintenanceDatabase]);

/** A new password must prove itself, and a name may lead somewhere else after a while. */
const fit = async (view: View | undefined, access: BackendAccess, now: number): Promise<View | undefined> => {
  if (view === undefined) return undefined;
  if (view.session.isOpen && view.password.equals(access.password) && now - view.since < oldestMs) return view;
  await view[Symbol.asyncDispose]();
  return undefined;
};

/** Undefined when the connection has broken since the last look: a new one tells why, or that all is well. */
const again = async (view: View, signal: AbortSignal): Promise<Looked | undefined> => {
  using _ = relay(signal, view.cutter);
  try {
    return { view, state: await stateOf(view.session) };
  } catch (cause) {
    await view[Symbol.asyncDispose]();
    if (signal.aborted || troubleOf(cause)?.kind !== 'away') throw cause;
    return undefined;
  }
};

const afresh = async (
  application: string,
  access: BackendAccess,
  server: BackendServer,
  since: number,
  signal: AbortSignal,
): Promise<Looked> => {
  const cutter = new AbortController();
  using _ = relay(signal, cutter);
  const name = lookingSessionsOf(application);
  const session = await openSession(
    { access, server, database: access.maintenanceDatabase, name, patience },
    cutter.signal,
  );
  try {
    const identity = await identityOf(session);
    const { password } = access;
    const view = {
      session,
      identity,
      password,
      since,
      cutter,
      [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
    };
    return { view, state: await stateOf(session) };
  } catch (cause) {
    await session[Symbol.asyncDispose]();
    throw cause;
  }
};

const relay = (signal: AbortSignal, to: AbortController): Disposable => {
  const cut = (): void => to.abort();
  if (signal.aborted) cut();
  signal.addEventListener('abort', cut);
  return { [Symbol.dispose]: () => signal.removeEventListener('abort', cut) };
};

const identityOf = async (session: Session): Promise<Identity> => {
  const [identity] = await session.rows<Omit<Identity, 'systemId'>>(
    `SELECT pg_postmaster_start_time()::text AS "startedAt", current_setting('server_version_num')::int AS version,
            current_setting('max_connections')::int AS "maxConnections"`,
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

/** The timeline is that of what is being written: after a promotion the control file still shows the old one for a while. */
const stateOf = async (session: Session): Promise<ServerState> => {
  const [state] = await session.rows<ServerState>(
    `SELECT pg_is_in_recovery() AS "inRecovery", rolsuper AS "isSuperuser", rolcreaterole AS "canCreateRole",
            rolcreatedb AS "canCreateDatabase", rolinherit AS inherits,
            CASE WHEN NOT pg_is_in_recovery()
              THEN ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END AS timeline
       FROM pg_roles WHERE rolname = session_user`,
  );
  if (state === undefined) throw new Error('PostgreSQL does not know the login of its own session');
  return state;
};

import type { BackendAccess, BackendServer, PostgresOutcome } from '../../actors/model/backend.ts';
import type { Leadership } from '../../actors/model/leadership.ts';
import { type Administrator, administratorOf, type Desk } from './desk.ts';
import { ensureFenceDatabase, ensureFenceTable, fenceStateIn, strangeFence } from './fence.ts';
import { changingSessionsOf, fenceDatabaseOf } from './names.ts';
import { openSession, type Session } from './session.ts';
import { isAbsentDatabase } from './trouble.ts';

export interface Errand {
  readonly application: string;
  readonly access: BackendAccess;
  readonly primary: BackendServer;
  readonly leadership: Leadership;
}

/** Does `work` with a session of its own, in the database where the fence is. */
export const atDesk = async (
  errand: Errand,
  work: (desk: Desk) => Promise<PostgresOutcome>,
  signal: AbortSignal,
): Promise<PostgresOutcome> => {
  const { application, leadership } = errand;
  const enter = (database: string): Promise<Session> => enterAs(errand, database, signal);
  await using fence = await enterFence(errand, enter);
  const self = await administratorOf(fence);
  const state = await fenceStateIn(fence);
  if (state.kind === 'strange') return strangeFence(application, state.owner, self);
  if (state.kind === 'missing') await ensureFenceTable(fence);
  return await work({ application, leadership, fence, self, enter });
};

const patience = { statementMs: 10_000, lockMs: 3_000 };

const enterAs = (
  { application, access, primary: server }: Errand,
  database: string,
  signal: AbortSignal,
): Promise<Session> =>
  openSession({ access, server, database, name: changingSessionsOf(application), patience }, signal);

const enterFence = async (errand: Errand, enter: (database: string) => Promise<Session>): Promise<Session> => {
  const database = fenceDatabaseOf(errand.application);
  try {
    return await enter(database);
  } catch (cause) {
    if (!isAbsentDatabase(cause)) throw cause;
  }
  await makeFenceDatabase(errand, enter);
  return enter(database);
};

const makeFenceDatabase = async (
  { application, access }: Errand,
  enter: (database: string) => Promise<Session>,
): Promise<void> => {
  await using session = await enter(access.maintenanceDatabase);
  const self: Administrator = await administratorOf(session);
  await ensureFenceDatabase(session, self, application);
};

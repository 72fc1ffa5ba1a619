import type { PostgresOutcome } from '../../actors/model/backend.ts';
import type { Leadership } from '../../actors/model/leadership.ts';
import { databaseIn, makeDatabase, prepareDatabase } from './database.ts';
import { type Administrator, type Desk, done, endSessions, refused } from './desk.ts';
import { changingSessionsOf, fenceDatabaseOf, fenceTagOf } from './names.ts';
import type { Session } from './session.ts';
import { StillBusy } from './trouble.ts';

/**
 * The fence is a row in a database of our own: the newest leadership that administers this cluster. Every part of a step holds the row
 * locked while it works, so that a newer leader raises it before the part or after it. What cannot see the row (another database,
 * CREATE DATABASE) is done in a second session under the same lock; a leader that froze there loses both sessions to the newer one,
 * which begins its work once they are gone.
 */
export const raiseFence = async (desk: Desk): Promise<PostgresOutcome> => {
  if ((await standingOf(desk, '')) === 'past') return { kind: 'fenced' };
  await endOthers(desk); // One that froze may hold the row.
  const raised = await desk.fence.rows(
    `INSERT INTO troupe.fence AS fence (application, epoch, nonce) VALUES ($1, $2, $3)
       ON CONFLICT (application) DO UPDATE SET epoch = excluded.epoch, nonce = excluded.nonce
       WHERE fence.epoch < excluded.epoch OR (fence.epoch = excluded.epoch AND fence.nonce = excluded.nonce)
       RETURNING epoch`,
    [desk.application, desk.leadership.epoch, desk.leadership.nonce],
  );
  if (raised.length === 0) return { kind: 'fenced' };
  await endOthers(desk);
  return done;
};

/** Raises the fence unless it stands for us already: so too where a failover or a restored dump has lost it. */
export const passFence = async (desk: Desk): Promise<PostgresOutcome> =>
  (await standingOf(desk, '')) === 'ours' ? done : raiseFence(desk);

/** Does `work` in a transaction of the fence's session, which holds the fence; undone unless it is done. */
export const underFence = async (desk: Desk, work: () => Promise<PostgresOutcome>): Promise<PostgresOutcome> => {
  await desk.fence.run('BEGIN');
  const outcome: PostgresOutcome = (await standingOf(desk, 'FOR SHARE')) === 'ours' ? await work() : { kind: 'fenced' };
  await desk.fence.run(outcome.kind === 'done' ? 'COMMIT' : 'ROLLBACK');
  return outcome;
};

export type FenceState = { readonly kind: 'ready' | 'missing' } | { readonly kind: 'strange'; readonly owner: string };

/**
 * Whether the database that `session` is in keeps the fence. A role that may make databases could have laid a trap under its name:
 * its owner has to be us, a superuser, or another administrator that Troupe did not make.
 */
export const fenceStateIn = async (session: Session): Promise<FenceState> => {
  const [state] = await session.rows<{ owner: string; trusted: boolean; there: boolean }>(
    `SELECT rolname::text AS owner, EXISTS (SELECT FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
                     WHERE nspname = 'troupe' AND relname = 'fence') AS there,
            rolname = session_user OR rolsuper OR (rolcreaterole AND
              NOT starts_with(coalesce(shobj_description(datdba, 'pg_authid'), ''), 'troupe:')) AS trusted
       FROM pg_database JOIN pg_roles owners ON owners.oid = datdba WHERE datname = current_database()`,
  );
  if (state === undefined || !state.trusted) return { kind: 'strange', owner: state?.owner ?? 'nobody' };
  return { kind: state.there ? 'ready' : 'missing' };
};

/** Makes the database of the fence where it is missing. `session` is in any other database. */
export const ensureFenceDatabase = async (
  session: Session,
  self: Administrator,
  application: string,
): Promise<void> => {
  const name = fenceDatabaseOf(application);
  if ((await databaseIn(session, name)) === undefined) await makeDatabase(session, name, self.name);
  const fact = await databaseIn(session, name);
  if (fact === undefined || fact.owner !== self.name) return; // What is wrong with it shows when it is entered.
  await session.run('BEGIN');
  await prepareDatabase(session, name, fact, fenceTagOf(application));
  await session.run('COMMIT');
};

/** Makes the table of the fence in the database that `session` is in. */
export const ensureFenceTable = async (session: Session): Promise<void> => {
  await session.run('BEGIN');
  await session.run(`SELECT pg_advisory_xact_lock(${fenceLock})`); // Two that make one table at once disturb each other.
  await session.run('CREATE SCHEMA IF NOT EXISTS troupe');
  await session.run(
    'CREATE TABLE IF NOT EXISTS troupe.fence (application text PRIMARY KEY, epoch bigint NOT NULL, nonce text NOT NULL)',
  );
  await session.run('COMMIT');
};

export const strangeFence = (application: string, owner: string, self: Administrator): PostgresOutcome => {
  const name = fenceDatabaseOf(application);
  return refused(
    `cannot keep the fence of "${application}" in database "${name}": it belongs to "${owner}", not to "${self.name}"; rename or drop it (ALTER DATABASE … RENAME TO …), or name another application`,
  );
};

/** Any number will do as long as it stays the same. */
const fenceLock = 7_870_685;

type Standing = 'ours' | 'past' | 'ahead';

/** Where our leadership stands against the fence. The first holder of an epoch is its only one. */
export const standingOf = async (
  { fence, application, leadership }: Pick<Desk, 'fence' | 'application' | 'leadership'>,
  lock: '' | 'FOR SHARE',
): Promise<Standing> => {
  const [row] = await fence.rows<{ epoch: string; nonce: string }>(
    `SELECT epoch::text, nonce FROM troupe.fence WHERE application = $1 ${lock}`,
    [application],
  );
  return row === undefined ? 'ahead' : standingAgainst(row, leadership);
};

const standingAgainst = (fence: { epoch: string; nonce: string }, { epoch, nonce }: Leadership): Standing => {
  if (Number(fence.epoch) < epoch) return 'ahead';
  return Number(fence.epoch) === epoch && fence.nonce === nonce ? 'ours' : 'past';
};

const endOthers = async ({ fence, application }: Desk): Promise<void> => {
  const ours = `application_name = $1 AND pg_has_role(usesysid, 'USAGE')`;
  if (await endSessions(fence, ours, [changingSessionsOf(application)])) return;
  throw new StillBusy('sessions of an earlier leader have not ended yet');
};

import { escapeIdentifier, escapeLiteral } from 'pg';
import type { PostgresOutcome } from '../../actors/model/backend.ts';
import { type DatabaseFact, databaseIn, makeDatabase, prepareDatabase } from './database.ts';
import { type Desk, done, inOrder, refused, takePartIn } from './desk.ts';
import { underFence } from './fence.ts';
import { databaseTagOf, faultOfName, fenceDatabaseOf, ownerRoleOf } from './names.ts';
import { type RoleFact, roleIn } from './role.ts';

/** Owner role and database of a client. What is there under these names and is not ours stays untouched. */
export const ensureDatabase = async (desk: Desk, name: string): Promise<PostgresOutcome> => {
  const fault = faultOfName('database', name);
  if (fault !== null) return refused(fault);
  return inOrder(
    () => underFence(desk, () => ensureOwner(desk, name)),
    () => underFence(desk, () => ensureMade(desk, name)),
    () => underFence(desk, () => ensurePrepared(desk, name)),
    () => underFence(desk, () => ensureSchema(desk, name)),
  );
};

/** The same for a database that was there: an empty one in its place would hide that everything in it is gone. */
export const mendDatabase = async (desk: Desk, name: string): Promise<PostgresOutcome> =>
  inOrder(
    () => underFence(desk, () => retagOwner(desk, name)),
    () => underFence(desk, () => ensureOwner(desk, name)),
    () => underFence(desk, () => ensurePrepared(desk, name)),
    () => underFence(desk, () => ensureSchema(desk, name)),
  );

/** An owner role whose comment somebody took away is known by the database that it owns and that still has ours. */
const retagOwner = async ({ fence, application }: Desk, name: string): Promise<PostgresOutcome> => {
  const owner = ownerRoleOf(name);
  const tag = databaseTagOf(application, name);
  const [role, database] = [await roleIn(fence, owner), await databaseIn(fence, name)];
  if (role?.comment === null && database?.owner === owner && database.comment === tag)
    await fence.run(`COMMENT ON ROLE ${escapeIdentifier(owner)} IS ${escapeLiteral(tag)}`);
  return done;
};

/** Why `name` cannot be a client database of ours, or null: it is ours when our owner role owns it, whatever its comment says. */
export const strangerAs = (
  { application }: Desk,
  name: string,
  role: RoleFact | undefined,
  database: DatabaseFact | undefined,
): string | null => {
  const owner = ownerRoleOf(name);
  const tag = databaseTagOf(application, name);
  const isOurs = role?.comment === tag;
  if (database !== undefined && (!isOurs || database.owner !== owner)) {
    return isOurs && database.comment === tag
      ? `database "${name}" belongs to "${database.owner}" now; give it back: ALTER DATABASE ${escapeIdentifier(name)} OWNER TO ${escapeIdentifier(owner)}`
      : `database "${name}" exists, and Troupe application "${application}" did not make it; choose another name, or rename that one`;
  }
  if (role === undefined || isOurs) return null;
  return `role "${owner}" exists, and Troupe application "${application}" did not make it for database "${name}" (its comment is not "${tag}"); choose another database name, or rename that role`;
};

const ensureOwner = async (desk: Desk, name: string): Promise<PostgresOutcome> => {
  const { fence, self, application } = desk;
  const owner = ownerRoleOf(name);
  const role = await roleIn(fence, owner);
  const stranger = strangerAs(desk, name, role, await databaseIn(fence, name));
  if (stranger !== null) return refused(stranger);
  if (role === undefined) {
    await fence.run(`CREATE ROLE ${escapeIdentifier(owner)} NOLOGIN`);
    await fence.run(`COMMENT ON ROLE ${escapeIdentifier(owner)} IS ${escapeLiteral(databaseTagOf(application, name))}`);
  }
  if (role?.canLogin === true) await fence.run(`ALTER ROLE ${escapeIdentifier(owner)} NOLOGIN`);
  await takePartIn(fence, self, owner);
  return done;
};

/** CREATE DATABASE runs outside transactions, so in a session of its own. */
const ensureMade = async (desk: Desk, name: string): Promise<PostgresOutcome> => {
  if ((await databaseIn(desk.fence, name)) !== undefined) return done;
  await using session = await desk.enter(fenceDatabaseOf(desk.application));
  await makeDatabase(session, name, ownerRoleOf(name));
  return done;
};

const ensurePrepared = async ({ fence, application }: Desk, name: string): Promise<PostgresOutcome> => {
  const fact = await databaseIn(fence, name);
  if (fact === undefined) return refused(`database "${name}" is not there: somebody dropped it`);
  await prepareDatabase(fence, name, fact, databaseTagOf(application, name));
  return done;
};

/** The owner of a database may create in its schema public, unless the cluster's template says otherwise. */
const ensureSchema = async (desk: Desk, name: string): Promise<PostgresOutcome> => {
  const owner = ownerRoleOf(name);
  await using session = await desk.enter(name);
  const [schema] = await session.rows<{ usable: boolean; ours: boolean }>(
    `SELECT has_schema_privilege($1, oid, 'CREATE') AND has_schema_privilege($1, oid, 'USAGE') AS usable,
            pg_has_role(nspowner, 'USAGE') AS ours FROM pg_namespace WHERE nspname = 'public'`,
    [owner],
  );
  if (schema === undefined || schema.usable) return done; // Who dropped it wants it so.
  const grant = `GRANT USAGE, CREATE ON SCHEMA public TO ${escapeIdentifier(owner)}`;
  if (!schema.ours)
    return refused(`schema public of database "${name}" is closed to its owner; as a superuser run there: ${grant}`);
  await session.run(grant);
  return done;
};

import { escapeIdentifier, escapeLiteral } from 'pg';
import type { PostgresOutcome, PostgresStep } from '../../actors/model/backend.ts';
import { databaseIn } from './database.ts';
import { type Desk, done, inOrder, refused, takePartIn } from './desk.ts';
import { dropLogin, dropOwner } from './drop-login.ts';
import { underFence } from './fence.ts';
import { createLookup, grantConnect, lookupFunction, lookupSchema } from './lookup.ts';
import { clientRoleOf, clientTagOf, faultOfRoleName, loginTagOf, ownerRoleOf } from './names.ts';
import { roleIn } from './role.ts';
import type { Session } from './session.ts';

type Wanted = Extract<PostgresStep, { type: 'ensureLookup' }>;

/**
 * What a client needs whose login may make logins of its own: a role that it can grant them, which lets them into its database; and
 * for PgBouncer a login that can do nothing but ask for their secrets.
 */
export const ensureLookup = async (desk: Desk, wanted: Wanted): Promise<PostgresOutcome> => {
  const fault = faultOfRoleName('login', wanted.lookup.username);
  if (fault !== null) return refused(fault);
  return inOrder(
    () => underFence(desk, () => ensureClientRole(desk, wanted)),
    () => underFence(desk, () => ensureAsker(desk, wanted)),
    () => underFence(desk, () => ensureFunction(desk, wanted)),
  );
};

const ensureClientRole = async (desk: Desk, { database, username }: Wanted): Promise<PostgresOutcome> => {
  const { fence, application } = desk;
  const name = clientRoleOf(database);
  const tag = clientTagOf(application, database);
  const found = await roleIn(fence, name);
  if (found !== undefined && found.comment !== tag) return refused(strangerWords(name, application, tag));
  const role = escapeIdentifier(name);
  if (found === undefined) {
    await fence.run(`CREATE ROLE ${role} NOLOGIN`);
    await fence.run(`COMMENT ON ROLE ${role} IS ${escapeLiteral(tag)}`);
  }
  if (found?.canLogin === true) await fence.run(`ALTER ROLE ${role} NOLOGIN`);
  await fence.run(grantConnect(database, name));
  await fence.run(`GRANT ${role} TO ${escapeIdentifier(username)} WITH ADMIN OPTION`);
  return done;
};

const ensureAsker = async (desk: Desk, { relation, database, lookup }: Wanted): Promise<PostgresOutcome> => {
  const { fence, application } = desk;
  const tag = loginTagOf(application, relation);
  const found = await roleIn(fence, lookup.username);
  if (found !== undefined && found.comment !== tag) return refused(strangerWords(lookup.username, application, tag));
  const login = escapeIdentifier(lookup.username);
  const secret = `PASSWORD ${escapeLiteral(lookup.verifier.reveal())} VALID UNTIL 'infinity' CONNECTION LIMIT -1`;
  await fence.run(
    `${found === undefined ? 'CREATE' : 'ALTER'} ROLE ${login} LOGIN NOINHERIT NOCREATEDB NOCREATEROLE ${secret}`,
  );
  if (found === undefined) await fence.run(`COMMENT ON ROLE ${login} IS ${escapeLiteral(tag)}`);
  await fence.run(grantConnect(database, lookup.username));
  return done;
};

const ensureFunction = async (desk: Desk, { database, lookup }: Wanted): Promise<PostgresOutcome> => {
  const { self, application } = desk;
  await using session = await desk.enter(database);
  const obstacle = await obstacleTo(session, self.name, database);
  if (obstacle !== null) return refused(obstacle);
  const login = escapeIdentifier(lookup.username);
  await session.run('BEGIN');
  await session.run(`CREATE SCHEMA IF NOT EXISTS ${lookupSchema}`);
  await session.run(`REVOKE ALL ON SCHEMA ${lookupSchema} FROM PUBLIC`);
  await session.run(createLookup(application, database));
  await session.run(`ALTER FUNCTION ${lookupFunction}(text) OWNER TO CURRENT_USER`);
  await session.run(`REVOKE ALL ON FUNCTION ${lookupFunction}(text) FROM PUBLIC`);
  await session.run(`GRANT USAGE ON SCHEMA ${lookupSchema} TO ${login}`);
  await session.run(`GRANT EXECUTE ON FUNCTION ${lookupFunction}(text) TO ${login}`);
  await session.run('COMMIT');
  return done;
};

/** Secrets are read by whoever owns the function; and a schema of somebody else would let its owner say what is looked up. */
const obstacleTo = async (session: Session, self: string, database: string): Promise<string | null> => {
  const [found] = await session.rows<{ reads: boolean; owner: string | null; ours: boolean | null }>(
    `SELECT has_table_privilege('pg_authid', 'SELECT') AS reads, pg_get_userbyid(nspowner)::text AS owner,
            ${isOurs} AS ours
       FROM (SELECT) AS one LEFT JOIN pg_namespace ON nspname = $1 LEFT JOIN pg_roles owners ON owners.oid = nspowner`,
    [lookupSchema],
  );
  if (found?.reads !== true)
    return `the logins that it makes cannot be looked up, because "${self}" may not read the secrets of roles: as a superuser run in database "${database}": GRANT SELECT ON pg_catalog.pg_authid TO ${escapeIdentifier(self)} (in template1 it counts for the databases to come), or let the backend be administered by a superuser`;
  return found.ours === false
    ? `schema "${lookupSchema}" of database "${database}" belongs to "${found.owner}", and Troupe needs it for the lookup of logins: rename that schema, or give it to ${escapeIdentifier(self)}`
    : null;
};

/** Not one of a client, who could put another function in the place of ours. */
const isOurs = '(owners.rolname = current_user OR owners.rolsuper)';

const strangerWords = (name: string, application: string, tag: string): string =>
  `role "${name}" exists, and Troupe application "${application}" did not make it (its comment is not "${tag}"); rename or drop that role`;

type Unwanted = Extract<PostgresStep, { type: 'dropLookup' }>;

/** `isLast`: no other client of this database may make logins. What they are granted, and what they own, stays as it is. */
export const dropLookup = async (desk: Desk, unwanted: Unwanted): Promise<PostgresOutcome> => {
  const { relation, database, username, isLast } = unwanted;
  return inOrder(...(isLast ? [() => dropShared(desk, database)] : []), () => dropLogin(desk, relation, username));
};

const dropShared = async (desk: Desk, database: string): Promise<PostgresOutcome> => {
  const { fence, self, application } = desk;
  const dropFunction = async (): Promise<PostgresOutcome> => {
    if ((await databaseIn(fence, database))?.takesConnections !== true) return done;
    await using session = await desk.enter(database);
    const [schema] = await session.rows<{ ours: boolean }>(
      `SELECT ${isOurs} AS ours FROM pg_namespace JOIN pg_roles owners ON owners.oid = nspowner WHERE nspname = $1`,
      [lookupSchema],
    );
    if (schema?.ours !== true) return done;
    await session.run('BEGIN');
    await session.run(`DROP FUNCTION IF EXISTS ${lookupFunction}(text)`);
    await session.run(`DROP SCHEMA ${lookupSchema}`);
    await session.run('COMMIT');
    return done;
  };
  const role = await roleIn(fence, clientRoleOf(database));
  const isOurs = role !== undefined && role.comment === clientTagOf(application, database);
  return inOrder(
    () => underFence(desk, dropFunction),
    ...(isOurs
      ? [
          async () => {
            await takePartIn(fence, self, clientRoleOf(database));
            return dropOwner(desk, { name: clientRoleOf(database), oid: role.oid, homes: [ownerRoleOf(database)] });
          },
        ]
      : []),
  );
};

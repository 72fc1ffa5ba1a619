import { escapeIdentifier, escapeLiteral } from 'pg';
import type { PostgresOutcome } from '../../actors/model/backend.ts';
import { type DatabaseFact, databaseIn } from './database.ts';
import { type Desk, done, grantOf, inOrder, refused } from './desk.ts';
import { underFence } from './fence.ts';
import { databaseTagOf, faultOfName, ownerRoleOf, tagPrefixOf } from './names.ts';
import { roleIn } from './role.ts';
import type { Session } from './session.ts';

/**
 * A database that a client had before we served it. Our owner role gets the same rights in it as its clients have, so that clients to
 * come find what those made; nobody loses any. It becomes the owner of the database where that is an administrator's, who keeps all
 * rights without it; of a database of somebody else it is a guest.
 */
export const adoptDatabase = async (desk: Desk, name: string): Promise<PostgresOutcome> => {
  const fault = faultOfName('database', name);
  if (fault !== null) return refused(fault);
  if (!desk.self.isSuperuser) return refused(onlySuperusers(desk.self.name, `database "${name}"`));
  return inOrder(
    () => underFence(desk, () => ensureOwner(desk, name)),
    () => underFence(desk, () => ensureRights(desk, name)),
    () => underFence(desk, () => shareContents(desk, name)),
  );
};

export const onlySuperusers = (self: string, what: string): string =>
  `only a superuser can take over ${what}, which was made by one, and "${self}" is none: as a superuser run ALTER ROLE ${escapeIdentifier(self)} SUPERUSER`;

const ensureOwner = async ({ fence, application }: Desk, name: string): Promise<PostgresOutcome> => {
  const fact = await databaseIn(fence, name);
  if (fact === undefined)
    return refused(`database "${name}" is not there: somebody dropped or renamed it; restore it, or remove the client`);
  const tag = databaseTagOf(application, name);
  if (isOfAnother(application, fact))
    return refused(
      `database "${name}" belongs to another Troupe application (its comment is "${fact.comment ?? ''}"); remove this client, or if that application is gone run COMMENT ON DATABASE ${escapeIdentifier(name)} IS NULL`,
    );
  const owner = ownerRoleOf(name);
  const role = await roleIn(fence, owner);
  if (role === undefined) {
    await fence.run(`CREATE ROLE ${escapeIdentifier(owner)} NOLOGIN`);
    await fence.run(`COMMENT ON ROLE ${escapeIdentifier(owner)} IS ${escapeLiteral(tag)}`);
    return done;
  }
  if (role.comment !== tag && !(role.comment === null && fact.comment === tag))
    return refused(
      `role "${owner}" exists, and Troupe application "${application}" did not make it for database "${name}" (its comment is not "${tag}"); rename or drop that role`,
    );
  if (role.comment === null) await fence.run(`COMMENT ON ROLE ${escapeIdentifier(owner)} IS ${escapeLiteral(tag)}`);
  if (role.canLogin) await fence.run(`ALTER ROLE ${escapeIdentifier(owner)} NOLOGIN`);
  return done;
};

const isOfAnother = (application: string, { comment }: DatabaseFact): boolean =>
  comment !== null && comment.startsWith('troupe:') && !comment.startsWith(tagPrefixOf(application));

const ensureRights = async ({ fence, application }: Desk, name: string): Promise<PostgresOutcome> => {
  const fact = await databaseIn(fence, name);
  if (fact === undefined) return refused(`database "${name}" is not there: somebody dropped it`);
  const [database, owner] = [`DATABASE ${escapeIdentifier(name)}`, escapeIdentifier(ownerRoleOf(name))];
  if (fact.owner !== ownerRoleOf(name) && (await isAdministrators(fence, fact.owner))) {
    await fence.run(`ALTER ${database} OWNER TO ${owner}`);
    // What it had as the owner became the new one's.
    await fence.run(`GRANT CONNECT ON ${database} TO ${escapeIdentifier(fact.owner)}`);
  }
  await fence.run(`GRANT ALL ON ${database} TO ${owner}`);
  if (fact.comment === null)
    await fence.run(`COMMENT ON ${database} IS ${escapeLiteral(databaseTagOf(application, name))}`);
  return done;
};

/** The role that the charm of PostgreSQL 16 makes databases with: its members make theirs themselves, and see to no other. */
const databasesOwner = 'charmed_databases_owner';

const isAdministrators = async (session: Session, owner: string): Promise<boolean> => {
  const found = await session.rows('SELECT FROM pg_roles WHERE rolname = $1 AND (rolsuper OR rolname = $2)', [
    owner,
    databasesOwner,
  ]);
  return found.length > 0;
};

/** The role that the same charm lets clients of a database act as; it owns what they make. */
const contentsOwnerOf = (database: string): string => `charmed_${database}_owner`;
/** Of it everybody is a member who may change all there is in that database. */
export const contentsAdministratorOf = (database: string): string => `charmed_${database}_admin`;

/**
 * What clients made, for those to come. What is a superuser's or an extension's stays closed: among it may be what makes superusers of
 * whoever may call it.
 */
const shareContents = async (desk: Desk, name: string): Promise<PostgresOutcome> => {
  await using session = await desk.enter(name);
  const owner = ownerRoleOf(name);
  const grants = await session.rows<{ grant: string }>(
    `SELECT format('GRANT USAGE, CREATE ON SCHEMA %I TO %I', nspname, $1::text) AS grant
       FROM pg_namespace JOIN pg_roles owners ON owners.oid = nspowner
      WHERE nspname = 'public' OR (NOT owners.rolsuper AND ${isClients} AND ${isNoExtensions('pg_namespace')})
     UNION ALL
     SELECT format('GRANT ALL ON %s %I.%I TO %I', CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, nspname, relname, $1::text)
       FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace JOIN pg_roles owners ON owners.oid = relowner
      WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT owners.rolsuper AND ${isClients} AND ${isNoExtensions('pg_class')}`,
    [owner],
  );
  await session.run('BEGIN');
  // A thousand tables are no thousand round trips.
  for (let from = 0; from < grants.length; from += inOneGo)
    await session.run(
      grants
        .slice(from, from + inOneGo)
        .map(({ grant }) => grant)
        .join(';'),
    );
  const contentsOwner = await roleIn(session, contentsOwnerOf(name));
  if (contentsOwner?.canLogin === false) await session.run(grantOf(desk.self, contentsOwnerOf(name), owner));
  await session.run('COMMIT');
  return done;
};

const inOneGo = 200;
const isClients = `nspname <> 'information_schema' AND NOT starts_with(nspname, 'pg_')`;
const isNoExtensions = (catalogue: 'pg_class' | 'pg_namespace'): string =>
  `NOT EXISTS (SELECT FROM pg_depend WHERE classid = '${catalogue}'::regclass AND objid = ${catalogue}.oid AND deptype = 'e')`;

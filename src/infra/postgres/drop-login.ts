import { escapeIdentifier } from 'pg';
import type { PostgresOutcome } from '../../actors/model/backend.ts';
import { type Desk, done, endSessions, inOrder, refused, takePartIn } from './desk.ts';
import { underFence } from './fence.ts';
import { loginTagOf, tagPrefixOf } from './names.ts';
import { roleIn } from './role.ts';
import type { Session } from './session.ts';
import { StillBusy } from './trouble.ts';

/**
 * Takes a login away in the order in which nothing is lost and nothing comes back: no new sessions, no old ones, what it owns to the
 * owner role of its database, its grants, the role. Each part finds what an interrupted one left.
 */
export const dropLogin = async (desk: Desk, relation: number, username: string): Promise<PostgresOutcome> => {
  const login = await loginOf(desk, relation, username);
  if (login.kind !== 'ours') return login.kind === 'gone' ? done : refused(login.reason);
  return inOrder(
    () => underFence(desk, () => closeLogin(desk, login)),
    () => underFence(desk, () => endItsSessions(desk, login)),
    () => dropOwner(desk, login),
  );
};

/** A role that nobody can log in with (any more); the caller takes part in it. */
export const dropOwner = (desk: Desk, owner: Owner): Promise<PostgresOutcome> =>
  inOrder(
    () => clearDatabases(desk, owner),
    () => underFence(desk, () => dropRole(desk, owner)),
  );

interface Owner {
  readonly name: string;
  readonly oid: string;
  /** Owner roles of ours that take what it owns: those that it is a member of; one, unless somebody granted it more. */
  readonly homes: readonly string[];
}
interface Login extends Owner {
  readonly kind: 'ours';
}

/**
 * A login of ours is known by its tag. A role without it that nevertheless belongs to one of our owner roles may be ours with its comment
 * overwritten: a login that lives on unnoticed would be worse than a question.
 */
const loginOf = async (
  { fence, application }: Desk,
  relation: number,
  name: string,
): Promise<Login | { readonly kind: 'gone' } | { readonly kind: 'doubtful'; readonly reason: string }> => {
  const role = await roleIn(fence, name);
  if (role === undefined) return { kind: 'gone' };
  const homes = await homesOf(fence, application, role.oid);
  const tag = loginTagOf(application, relation);
  if (role.comment === tag) return { kind: 'ours', name, oid: role.oid, homes };
  if (role.comment?.startsWith(tagPrefixOf(application)) === true || homes.length === 0) return { kind: 'gone' };
  return {
    kind: 'doubtful',
    reason: `role "${name}" is a member of ${homes.join(', ')} but its comment is not "${tag}"; if it is to go, run COMMENT ON ROLE ${escapeIdentifier(name)} IS '${tag}', else revoke that membership`,
  };
};

const homesOf = async (session: Session, application: string, oid: string): Promise<readonly string[]> => {
  const homes = await session.rows<{ name: string }>(
    `SELECT DISTINCT roles.rolname::text AS name FROM pg_auth_members JOIN pg_roles roles ON roles.oid = roleid
      WHERE member = $1 AND starts_with(shobj_description(roleid, 'pg_authid'), $2) ORDER BY 1`,
    [oid, `${tagPrefixOf(application)}database:`],
  );
  return homes.map(({ name }) => name);
};

const closeLogin = async ({ fence, self }: Desk, { name }: Login): Promise<PostgresOutcome> => {
  await fence.run(`ALTER ROLE ${escapeIdentifier(name)} NOLOGIN`);
  await takePartIn(fence, self, name);
  return done;
};

const endItsSessions = async ({ fence }: Desk, { name, oid }: Login): Promise<PostgresOutcome> => {
  if (await endSessions(fence, 'usesysid = $1', [oid])) return done;
  throw new StillBusy(`sessions of "${name}" have not ended yet`);
};

const clearDatabases = async (desk: Desk, login: Owner): Promise<PostgresOutcome> => {
  const databases = await databasesOf(desk.fence, login);
  return inOrder(...databases.map((database) => () => underFence(desk, () => clearDatabase(desk, login, database))));
};

/** Databases with something that belongs to it or is granted to it. */
const databasesOf = async (session: Session, { oid }: Owner): Promise<readonly string[]> => {
  const databases = await session.rows<{ name: string }>(
    `SELECT DISTINCT datname::text AS name FROM pg_shdepend JOIN pg_database ON pg_database.oid = dbid
      WHERE refclassid = 'pg_authid'::regclass AND refobjid = $1 ORDER BY 1`,
    [oid],
  );
  return databases.map(({ name }) => name);
};

const clearDatabase = async (desk: Desk, login: Owner, database: string): Promise<PostgresOutcome> => {
  await using session = await desk.enter(database);
  await session.run('BEGIN');
  const outcome = await handOver(session, login);
  await session.run(outcome.kind === 'done' ? 'COMMIT' : 'ROLLBACK');
  return outcome;
};

/** Grants on what all databases share, and databases of its own, go here too. */
const dropRole = async ({ fence }: Desk, login: Owner): Promise<PostgresOutcome> => {
  const outcome = await handOver(fence, login);
  if (outcome.kind !== 'done') return outcome;
  await fence.run(`DROP ROLE ${escapeIdentifier(login.name)}`);
  return done;
};

/** In the database that `session` is in, and for what all databases share. */
const handOver = async (session: Session, login: Owner): Promise<PostgresOutcome> => {
  const name = escapeIdentifier(login.name);
  if (await ownsSomething(session, login)) {
    const home = await homeIn(session, login);
    if (home === undefined) return refused(homeless(login));
    await reassign(session, login, home);
    // DROP OWNED drops what is left, so that nothing but grants may be left.
    if (await ownsSomething(session, login)) throw new StillBusy(`something still makes objects as "${login.name}"`);
  }
  await session.run(`DROP OWNED BY ${name}`);
  return done;
};

/** Default privileges and user mappings are nobody's but its own, and go with it. */
const ownsSomething = async (session: Session, { oid }: Owner): Promise<boolean> => {
  const [owned] = await session.rows<{ any: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_shdepend
       WHERE refclassid = 'pg_authid'::regclass AND refobjid = $1 AND deptype = 'o'
         AND classid NOT IN ('pg_default_acl'::regclass, 'pg_user_mapping'::regclass)
         AND dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))) AS any`,
    [oid],
  );
  return owned?.any ?? false;
};

/** The owner of this database when that is one of ours; elsewhere the owner role it came from. */
const homeIn = async (session: Session, { homes }: Owner): Promise<string | undefined> => {
  const [here] = await session.rows<{ owner: string }>(
    'SELECT pg_get_userbyid(datdba)::text AS owner FROM pg_database WHERE datname = current_database()',
  );
  return homes.find((home) => home === here?.owner) ?? homes[0];
};

const reassign = async (session: Session, { name, oid }: Owner, home: string): Promise<void> => {
  const schemas = await session.rows<{ name: string }>(
    'SELECT nspname::text AS name FROM pg_namespace WHERE nspowner = $1',
    [oid],
  );
  for (const schema of schemas) {
    // First, because the new owner of what is in a schema has to be allowed to create there.
    await session.run(`ALTER SCHEMA ${escapeIdentifier(schema.name)} OWNER TO ${escapeIdentifier(home)}`);
  }
  await session.run(`REASSIGN OWNED BY ${escapeIdentifier(name)} TO ${escapeIdentifier(home)}`);
};

const homeless = ({ name }: Owner): string =>
  `"${name}" owns things and is a member of no owner role that could take them; grant it the owner role of its database again, or run REASSIGN OWNED BY ${escapeIdentifier(name)} TO another role in each database`;

import { escapeIdentifier, escapeLiteral } from 'pg';
import type { PostgresOutcome, PostgresStep } from '../../actors/model/backend.ts';
import { databaseIn } from './database.ts';
import { type Desk, done, grantOf, inOrder, refused, takePartIn } from './desk.ts';
import { strangerAs } from './ensure-database.ts';
import { underFence } from './fence.ts';
import { faultOfName, faultOfRoleName, loginTagOf, ownerRoleOf } from './names.ts';
import { roleIn } from './role.ts';
import type { Session } from './session.ts';

type Wanted = Extract<PostgresStep, { type: 'ensureLogin' }>;
type Extras = Pick<Wanted, 'extraUserRoles'>;

/**
 * A login that is a member of the owner role of its database. There its sessions act as that role from the first statement, so that
 * what one login makes the next one can alter; in any other database it is itself. A login with extra roles acts as itself
 * everywhere, because acting as the owner role it would not have them; it shares what it makes by default privileges instead.
 */
export const ensureLogin = async (desk: Desk, wanted: Wanted): Promise<PostgresOutcome> => {
  const fault = faultOfName('database', wanted.database) ?? faultOfRoleName('login', wanted.username);
  if (fault !== null) return refused(fault);
  const stranger = wanted.extraUserRoles.filter((role) => !isAllowed(role));
  if (stranger.length > 0)
    return refused(
      `cannot give "${wanted.username}" ${stranger.join(', ')}: extra user roles are createdb and createrole`,
    );
  const parts = [() => underFence(desk, () => ensureRole(desk, wanted))];
  if (isPrivileged(wanted)) parts.push(() => underFence(desk, () => shareWithOwner(desk, wanted)));
  return inOrder(...parts);
};

const allowed = ['createdb', 'createrole'] as const;
const isAllowed = (role: string): boolean => allowed.some((name) => name === role.toLowerCase());
export const hasExtra = ({ extraUserRoles }: Extras, name: (typeof allowed)[number]): boolean =>
  extraUserRoles.some((role) => role.toLowerCase() === name);
export const isPrivileged = ({ extraUserRoles }: Extras): boolean => extraUserRoles.length > 0;

const ensureRole = async (desk: Desk, wanted: Wanted): Promise<PostgresOutcome> => {
  const reason = (await faultOfDatabase(desk, wanted)) ?? (await faultOfRole(desk, wanted));
  if (reason !== null) return refused(reason);
  const { fence, self, application } = desk;
  const login = escapeIdentifier(wanted.username);
  const owner = ownerRoleOf(wanted.database);
  const role = await roleIn(fence, wanted.username);
  const isThere = role !== undefined;
  await fence.run(`${isThere ? 'ALTER' : 'CREATE'} ROLE ${login} ${attributesOf(wanted)}`);
  if (role === undefined || role.comment === null)
    await fence.run(`COMMENT ON ROLE ${login} IS ${escapeLiteral(loginTagOf(application, wanted.relation))}`);
  await fence.run(grantOf(self, owner, wanted.username));
  const acting = isPrivileged(wanted) ? 'RESET role' : `SET role TO ${escapeLiteral(owner)}`;
  const inDatabase = `ALTER ROLE ${login} IN DATABASE ${escapeIdentifier(wanted.database)}`;
  await fence.run(`${inDatabase} ${acting}`);
  await fence.run(endsOrphansOf(wanted));
  if (isPrivileged(wanted)) await takePartIn(fence, self, wanted.username);
  return done;
};

/**
 * A PgBouncer that was killed leaves server connections behind that count against every limit until their statement ends, which
 * may take hours: they end this soon instead. What a server of another system than Linux or BSD cannot watch it refuses to be asked.
 */
const orphanSeconds = 2;
export const endsOrphansOf = ({ username, database }: Pick<Wanted, 'username' | 'database'>): string => {
  const inDatabase = `ALTER ROLE ${escapeIdentifier(username)} IN DATABASE ${escapeIdentifier(database)}`;
  const statement = `${inDatabase} SET client_connection_check_interval TO '${orphanSeconds}s'`;
  return `DO ${escapeLiteral(`BEGIN ${statement}; EXCEPTION WHEN invalid_parameter_value THEN NULL; END`)}`;
};

/** Attributes not named here are those of a role that was just created, and only a superuser can change them. */
const attributesOf = (wanted: Wanted): string =>
  [
    'LOGIN INHERIT',
    hasExtra(wanted, 'createdb') ? 'CREATEDB' : 'NOCREATEDB',
    hasExtra(wanted, 'createrole') ? 'CREATEROLE' : 'NOCREATEROLE',
    `PASSWORD ${escapeLiteral(wanted.verifier.reveal())} VALID UNTIL 'infinity' CONNECTION LIMIT -1`,
  ].join(' ');

const faultOfDatabase = async (desk: Desk, { database }: Wanted): Promise<string | null> => {
  const role = await roleIn(desk.fence, ownerRoleOf(database));
  const fact = await databaseIn(desk.fence, database);
  if (role !== undefined && fact !== undefined) return strangerAs(desk, database, role, fact);
  return `database "${database}" or its owner role is not there; it comes first`;
};

/** One without a comment is ours when it is in our owner role, which nobody is by chance. */
const faultOfRole = async (
  { fence, application }: Desk,
  { username, relation, database }: Wanted,
): Promise<string | null> => {
  const role = await roleIn(fence, username);
  const tag = loginTagOf(application, relation);
  if (role === undefined || role.comment === tag) return null;
  if (role.comment === null && (await isMember(fence, username, ownerRoleOf(database)))) return null;
  return `role "${username}" exists, and Troupe application "${application}" did not make it for relation ${relation} (its comment is not "${tag}"); choose another name, or rename or drop that role`;
};

const isMember = async (session: Session, member: string, role: string): Promise<boolean> => {
  const found = await session.rows(
    `SELECT FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles l ON l.oid = m.member
      WHERE l.rolname = $1 AND r.rolname = $2`,
    [member, role],
  );
  return found.length > 0;
};

/** What it makes in its database belongs to it until it is dropped; the other logins may use it meanwhile. */
export const shareWithOwner = async (
  desk: Desk,
  { database, username }: Pick<Wanted, 'database' | 'username'>,
): Promise<PostgresOutcome> => {
  await using session = await desk.enter(database);
  const [login, owner] = [escapeIdentifier(username), escapeIdentifier(ownerRoleOf(database))];
  await session.run('BEGIN');
  for (const kind of ['TABLES', 'SEQUENCES', 'ROUTINES', 'TYPES', 'SCHEMAS']) {
    await session.run(`ALTER DEFAULT PRIVILEGES FOR ROLE ${login} GRANT ALL ON ${kind} TO ${owner}`);
  }
  await session.run('COMMIT');
  return done;
};

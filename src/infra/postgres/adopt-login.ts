import { createHash } from 'node:crypto';
import { escapeIdentifier, escapeLiteral } from 'pg';
import { scramVerifier } from '../../pgbouncer/scram.ts';
import type { PostgresOutcome, PostgresStep } from '../../actors/model/backend.ts';
import { type Right, rights as everyRight } from '../../actors/model/right.ts';
import type { Secret } from '../../actors/model/secret.ts';
import { contentsAdministratorOf, onlySuperusers } from './adopt-database.ts';
import { type Desk, done, grantOf, inOrder, refused } from './desk.ts';
import { endsOrphansOf, shareWithOwner } from './ensure-login.ts';
import { underFence } from './fence.ts';
import { databaseTagOf, faultOfRoleName, loginTagOf, ownerRoleOf } from './names.ts';
import { roleIn } from './role.ts';

type Wanted = Extract<PostgresStep, { type: 'adoptLogin' }>;

/**
 * A login that a client had before we served it: marked as ours, with its own password in the form that every auth file has. It acts as
 * itself, owns what it owns, and keeps its rights. That it belongs to the owner role says who inherits from it when it goes. It is
 * known by its password: of a role that only has its name nothing is taken.
 */
export const adoptLogin = async (desk: Desk, wanted: Wanted): Promise<PostgresOutcome> => {
  const fault = faultOfRoleName('login', wanted.username);
  if (fault !== null) return refused(fault);
  if (!desk.self.isSuperuser) return refused(onlySuperusers(desk.self.name, `login "${wanted.username}"`));
  return inOrder(
    () => underFence(desk, () => ensureOurs(desk, wanted)),
    () => underFence(desk, () => shareWithOwner(desk, wanted)),
  );
};

interface Found extends Readonly<Record<Right | 'replication' | 'bypassrls', boolean>> {
  readonly comment: string | null;
  /** As PostgreSQL keeps it. */
  readonly secret: string | null;
}

const ensureOurs = async (desk: Desk, wanted: Wanted): Promise<PostgresOutcome> => {
  const { fence, application } = desk;
  const { username, relation, database } = wanted;
  const owner = await roleIn(fence, ownerRoleOf(database));
  if (owner?.comment !== databaseTagOf(application, database))
    return refused(`the owner role of database "${database}" is not there; it comes first`);
  const [found] = await fence.rows<Found>(
    `SELECT shobj_description(oid, 'pg_authid') AS comment, rolpassword AS secret, rolsuper AS superuser, rolcreatedb AS createdb,
            rolcreaterole AS createrole, rolreplication AS replication, rolbypassrls AS bypassrls
       FROM pg_authid WHERE rolname = $1`,
    [username],
  );
  const tag = loginTagOf(application, relation);
  const reason = found === undefined ? null : await hindranceIn(desk, wanted, found);
  if (reason !== null) return refused(reason);
  const [login, secret] = [escapeIdentifier(username), escapeLiteral(wanted.verifier.reveal())];
  // Where somebody dropped it, its client has it again.
  await fence.run(`${found === undefined ? 'CREATE' : 'ALTER'} ROLE ${login} LOGIN PASSWORD ${secret}`);
  if (found?.comment !== tag) await fence.run(`COMMENT ON ROLE ${login} IS ${escapeLiteral(tag)}`);
  // One that is made anew has the rights of its owner role, and no others any more.
  await fence.run(
    found === undefined ? grantOf(desk.self, ownerRoleOf(database), username) : await membershipOf(desk, wanted),
  );
  await fence.run(endsOrphansOf(wanted));
  return done;
};

/** Why it is not taken, or null. */
const hindranceIn = async (
  { application, self }: Desk,
  { username, relation, password, rights }: Wanted,
  found: Found,
): Promise<string | null> => {
  const tag = loginTagOf(application, relation);
  const where = `cannot take over login "${username}" for relation ${relation}`;
  if (username === self.name)
    return `${where}: it is the login that the backend is administered with; remove this client`;
  if (found.comment?.startsWith('troupe:') === true && found.comment !== tag)
    return `${where}: it is marked as "${found.comment}"; remove this client, or if that one is gone run COMMENT ON ROLE ${escapeIdentifier(username)} IS NULL`;
  const excess = excessIn(found, rights);
  if (excess.length > 0)
    return `${where}: it is ${excess.join(' and ')}, which that relation never asked for, so that it may be somebody else's; if it is the client's, run ALTER ROLE ${escapeIdentifier(username)} ${excess.map((one) => `NO${one}`).join(' ')}, else remove this client`;
  if (found.comment !== tag && !(await isPassword(found.secret, username, password)))
    return `${where}: it has another password than that relation was given, so that it may be somebody else's; if it is the client's, give it that password again, else remove this client`;
  return null;
};

/** Superusers may do all of the others anyway. */
const excessIn = (found: Found, rights: readonly Right[]): readonly string[] => {
  if (rights.includes('superuser')) return [];
  const had = everyRight.filter((right) => found[right] && !rights.includes(right));
  const never = (['replication', 'bypassrls'] as const).filter((right) => found[right]);
  return [...had, ...never].map((right) => right.toUpperCase());
};

/** In either form that PostgreSQL keeps passwords in. */
const isPassword = async (secret: string | null, username: string, password: Secret): Promise<boolean> => {
  if (secret?.startsWith('md5') === true)
    return secret === `md5${createHash('md5').update(`${password.reveal()}${username}`).digest('hex')}`;
  const [, iterations, salt] = /^SCRAM-SHA-256\$(\d+):([^$]+)\$/.exec(secret ?? '') ?? [];
  if (iterations === undefined || salt === undefined) return false;
  const its = await scramVerifier(password, Buffer.from(salt, 'base64'), Number(iterations));
  return its.reveal() === secret;
};

/** One that may change everything in its database may use what clients to come make there; for any other it is a mark and no right. */
const membershipOf = async ({ fence, self }: Desk, { username, database }: Wanted): Promise<string> => {
  const [rightful] = await fence.rows(
    `SELECT FROM pg_roles WHERE rolname = $1 AND (has_database_privilege(oid, $2, 'CREATE') OR EXISTS (
       SELECT FROM pg_roles administrators WHERE rolname = $3 AND pg_has_role(pg_roles.oid, administrators.oid, 'MEMBER')))`,
    [username, database, contentsAdministratorOf(database)],
  );
  const owner = ownerRoleOf(database);
  return rightful !== undefined || self.version < 160_000
    ? grantOf(self, owner, username)
    : `GRANT ${escapeIdentifier(owner)} TO ${escapeIdentifier(username)} WITH INHERIT FALSE, SET FALSE`;
};

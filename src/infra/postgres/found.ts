import { escapeIdentifier, escapeLiteral } from 'pg';
import type { Finding, Provision } from '../../actors/model/backend.ts';
import { hasExtra, isPrivileged } from './ensure-login.ts';
import { databaseTagOf, loginTagOf, ownerRoleOf } from './names.ts';
import type { Proof } from './prove-login.ts';
import type { Session } from './session.ts';

/** What the catalogues show of one relation. Everything but `isThere` is only worth something where that is true. */
export interface Found {
  readonly database: {
    readonly isThere: boolean;
    readonly owner: string;
    readonly comment: string | null;
    readonly takesConnections: boolean;
    readonly isOpenToPublic: boolean;
    readonly isOpenToOwner: boolean;
    /** Somebody set it so for this database or this login. */
    readonly isReadOnly: boolean;
  };
  readonly owner: { readonly isThere: boolean; readonly comment: string | null; readonly canLogin: boolean };
  readonly login: {
    readonly isThere: boolean;
    readonly comment: string | null;
    /** Of this relation's attributes and rights, all are as they were given. */
    readonly isMember: boolean;
    /** In the owner role at all: of one that was there before, that says where it belongs. */
    readonly belongs: boolean;
    readonly canLogin: boolean;
    readonly inherits: boolean;
    readonly canCreateDatabase: boolean;
    readonly canCreateRole: boolean;
    readonly isLimited: boolean;
    /** The role it acts as in its database; null: itself. */
    readonly actsAs: string | null;
  };
  /** Null where our login may not read it. */
  readonly verifier: string | null;
}

export const foundIn = async (
  session: Session,
  provisions: readonly Provision[],
  { readsSecrets }: Pick<Standpoint, 'readsSecrets'>,
): Promise<ReadonlyMap<number, Found>> => {
  const names = provisions.map(({ relation, database, username }) => ({
    relation,
    database,
    owner: ownerRoleOf(database),
    username,
  }));
  const rows = await session.rows<Omit<Found, 'verifier'> & { readonly relation: string }>(catalogueSql, [
    JSON.stringify(names),
  ]);
  const verifiers = readsSecrets ? await verifiersIn(session, provisions) : null;
  const found = rows.map(({ relation, ...its }) => {
    const number = Number(relation);
    return [number, { ...its, verifier: verifiers?.get(number) ?? null }] as const;
  });
  return new Map(found);
};

const catalogueSql = `
  SELECT p.relation::text,
         json_build_object(
           'isThere', d.oid IS NOT NULL,
           'owner', pg_get_userbyid(d.datdba),
           'comment', shobj_description(d.oid, 'pg_database'),
           'takesConnections', d.datallowconn AND d.datconnlimit <> 0,
           'isOpenToPublic', EXISTS (SELECT FROM aclexplode(coalesce(datacl, acldefault('d', datdba)))
                                      WHERE grantee = 0 AND privilege_type IN ('CONNECT', 'TEMPORARY')),
           'isOpenToOwner', 3 = (SELECT count(DISTINCT privilege_type)
                                   FROM aclexplode(coalesce(datacl, acldefault('d', datdba)))
                                  WHERE grantee = datdba AND privilege_type IN ('CONNECT', 'TEMPORARY', 'CREATE')),
           'isReadOnly', EXISTS (SELECT FROM pg_db_role_setting, unnest(setconfig) AS setting
                                  WHERE (setdatabase = d.oid AND setrole IN (0, l.oid) OR setdatabase = 0 AND setrole = l.oid)
                                    AND lower(setting) IN ('default_transaction_read_only=on',
                                      'default_transaction_read_only=true', 'default_transaction_read_only=1'))
         ) AS database,
         json_build_object('isThere', o.oid IS NOT NULL, 'comment', shobj_description(o.oid, 'pg_authid'),
           'canLogin', o.rolcanlogin) AS owner,
         json_build_object(
           'isThere', l.oid IS NOT NULL,
           'comment', shobj_description(l.oid, 'pg_authid'),
           'isMember', EXISTS (SELECT FROM pg_auth_members m WHERE m.roleid = o.oid AND m.member = l.oid
                                 AND coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, true)
                                 AND coalesce((to_jsonb(m) ->> 'set_option')::boolean, true)),
           'belongs', EXISTS (SELECT FROM pg_auth_members m WHERE m.roleid = o.oid AND m.member = l.oid),
           'canLogin', l.rolcanlogin,
           'inherits', l.rolinherit,
           'canCreateDatabase', l.rolcreatedb,
           'canCreateRole', l.rolcreaterole,
           'isLimited', l.rolconnlimit >= 0 OR coalesce(l.rolvaliduntil < 'infinity', false),
           'actsAs', (SELECT substr(setting, 6) FROM pg_db_role_setting, unnest(setconfig) AS setting
                       WHERE setdatabase = d.oid AND setrole = l.oid AND starts_with(setting, 'role='))
         ) AS login
    FROM jsonb_to_recordset($1::jsonb) AS p(relation bigint, database text, owner text, username text)
    LEFT JOIN pg_database d ON d.datname = p.database
    LEFT JOIN pg_roles o ON o.rolname = p.owner
    LEFT JOIN pg_roles l ON l.rolname = p.username`;

/** From where is looked: what our login may read, and a mark of all that was written so far. */
export interface Standpoint {
  /** Only a superuser may. */
  readonly readsSecrets: boolean;
  /** Another one as soon as a transaction that writes anything anywhere in the cluster has ended. */
  readonly snapshot: string;
  /** How often roles were made, changed and dropped. It may come late, from a session that goes on. */
  readonly roles: string;
}

export const standpointOf = async (session: Session): Promise<Standpoint> => {
  const [standpoint] = await session.rows<Standpoint>(
    `SELECT has_column_privilege('pg_authid'::regclass, 'rolpassword', 'SELECT') AS "readsSecrets", pg_current_snapshot()::text AS snapshot,
            concat_ws('/', pg_stat_get_tuples_inserted('pg_authid'::regclass), pg_stat_get_tuples_updated('pg_authid'::regclass),
                      pg_stat_get_tuples_deleted('pg_authid'::regclass)) AS roles`,
  );
  if (standpoint === undefined) throw new Error('a SELECT without FROM gave no row');
  return standpoint;
};

const verifiersIn = async (
  session: Session,
  provisions: readonly Provision[],
): Promise<ReadonlyMap<number, string>> => {
  const rows = await session.rows<{ name: string; verifier: string | null }>(
    'SELECT rolname::text AS name, rolpassword AS verifier FROM pg_authid WHERE rolname = ANY($1)',
    [provisions.map(({ username }) => username)],
  );
  const byName = new Map(rows.map(({ name, verifier }) => [name, verifier ?? '']));
  return new Map(provisions.map(({ relation, username }) => [relation, byName.get(username) ?? '']));
};

/** The first thing that is not as it was left, or null. What cannot be mended without a person comes first. */
export const faultOf = (application: string, provision: Provision, found: Found, proof: Proof): Finding | null => {
  const { relation } = provision;
  const { database } = provision;
  if (!found.database.isThere)
    return { kind: 'lost', relation, reason: `database "${database}" is gone: somebody dropped or renamed it` };
  const reason = hindranceIn(application, provision, found);
  if (reason !== null) return { kind: 'hindered', relation, reason };
  const { adopted } = provision;
  const isDatabaseSound = adopted === undefined ? isAsMade(application, provision, found) : hasOwner(found);
  if (!isDatabaseSound) return { kind: 'mendable', relation, step: 'mendDatabase' };
  const isLoginSound = adopted === undefined ? isAsGiven(provision, found) : isAsAdopted(provision, found);
  if (!isLoginSound || proof === 'another') return { kind: 'mendable', relation, step: 'ensureLogin' };
  const remark = remarkOn(provision, found);
  return remark === null ? null : { kind: 'hindered', relation, reason: remark };
};

const hindranceIn = (
  application: string,
  { relation, database: name, username, adopted }: Provision,
  { database, owner, login }: Found,
): string | null => {
  const role = ownerRoleOf(name);
  const [ours, its] = [databaseTagOf(application, name), loginTagOf(application, relation)];
  // Where we took over what was there, it may be another's for good.
  if (database.owner !== role && adopted === undefined)
    return `database "${name}" belongs to "${database.owner}" and not to "${role}": if it is the client's database, run ALTER DATABASE ${escapeIdentifier(name)} OWNER TO ${escapeIdentifier(role)}`;
  if (owner.isThere && owner.comment !== ours && (owner.comment !== null || database.comment !== ours))
    return `role "${role}" no longer says that Troupe made it: run COMMENT ON ROLE ${escapeIdentifier(role)} IS ${escapeLiteral(ours)}`;
  if (login.isThere && login.comment !== its && (login.comment !== null || !login.belongs))
    return `role "${username}" no longer says that Troupe made it: if it is the client's login, run COMMENT ON ROLE ${escapeIdentifier(username)} IS ${escapeLiteral(its)}, else rename it`;
  return null;
};

const isAsMade = (application: string, { database: name }: Provision, { database, owner }: Found): boolean => {
  const tag = databaseTagOf(application, name);
  return (
    owner.isThere &&
    owner.comment === tag &&
    !owner.canLogin &&
    database.comment !== null &&
    !database.isOpenToPublic &&
    database.isOpenToOwner
  );
};

const hasOwner = ({ owner }: Found): boolean => owner.isThere && owner.comment !== null && !owner.canLogin;

/** The rights that it has are its own. */
const isAsAdopted = (provision: Provision, { login, verifier }: Found): boolean =>
  login.isThere &&
  login.comment !== null &&
  login.belongs &&
  login.canLogin &&
  (verifier === null || verifier === provision.verifier.reveal());

const isAsGiven = (provision: Provision, { login, verifier }: Found): boolean =>
  login.isThere &&
  login.comment !== null &&
  login.isMember &&
  login.canLogin &&
  login.inherits &&
  !login.isLimited &&
  login.canCreateDatabase === hasExtra(provision, 'createdb') &&
  login.canCreateRole === hasExtra(provision, 'createrole') &&
  login.actsAs === (isPrivileged(provision) ? null : ownerRoleOf(provision.database)) &&
  (verifier === null || verifier === provision.verifier.reveal());

/** What somebody may have wanted, and clients suffer from. */
const remarkOn = ({ database: name }: Provision, { database }: Found): string | null => {
  const alter = `ALTER DATABASE ${escapeIdentifier(name)}`;
  if (!database.takesConnections)
    return `database "${name}" takes no connections, somebody closed it: run ${alter} ALLOW_CONNECTIONS true CONNECTION LIMIT -1 when clients may go in again`;
  return database.isReadOnly
    ? `database "${name}" is set read-only for this client: run ${alter} RESET default_transaction_read_only, or the same on its login, when it may write again`
    : null;
};

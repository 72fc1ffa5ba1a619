import { escapeIdentifier, escapeLiteral } from 'pg';
import type { LookupLogin, Provision } from '../../actors/model/backend.ts';
import { clientRoleOf, clientTagOf, loginTagOf, tagPrefixOf } from './names.ts';
import type { Session } from './session.ts';

/**
 * The function by which PgBouncer looks up a login that Troupe did not make. In the database itself, under one name everywhere: before
 * 1.19 PgBouncer cannot ask in another database, and before 1.22 it has one question for all.
 */
export const lookupSchema = 'troupe';
export const lookupFunction = `${lookupSchema}.lookup`;

/**
 * Logins of the clients of `database` that may make logins: members of its client role, members of such a client's own login, and
 * those that such a login administers because it made them (since PostgreSQL 16 it is recorded). Never one that Troupe made, whatever
 * somebody granted it, nor one that may do more than its client, nor the administrator, who takes part in every role that it made.
 */
const lookupBody = (application: string, database: string): string => `
  WITH client AS (SELECT oid FROM pg_roles WHERE rolname = ${escapeLiteral(clientRoleOf(database))}),
       maker AS (SELECT member AS oid FROM pg_auth_members
                  WHERE roleid = (SELECT oid FROM client) AND admin_option
                    AND shobj_description(member, 'pg_authid') ~ ${escapeLiteral(`^${tagPrefixOf(application)}[0-9]+$`)})
  SELECT rolname::text, rolpassword FROM pg_authid AS asked
   WHERE rolname = login AND rolname <> current_user AND rolcanlogin AND NOT rolsuper AND NOT rolreplication AND NOT rolbypassrls
     AND coalesce(rolvaliduntil > now(), true)
     AND NOT coalesce(starts_with(shobj_description(oid, 'pg_authid'), 'troupe:'), false)
     AND (EXISTS (SELECT FROM client WHERE pg_has_role(asked.oid, client.oid, 'MEMBER'))
       OR EXISTS (SELECT FROM maker WHERE pg_has_role(asked.oid, maker.oid, 'MEMBER'))
       OR EXISTS (SELECT FROM pg_auth_members AS made JOIN maker ON maker.oid = made.member
                   WHERE made.roleid = asked.oid AND made.admin_option))
`;

/** Of those who call it nobody chooses what it means: names are looked up in the catalogue alone. */
export const createLookup = (application: string, database: string): string =>
  `CREATE OR REPLACE FUNCTION ${lookupFunction}(login text) RETURNS TABLE (username text, secret text)
     LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
     AS ${escapeLiteral(lookupBody(application, database))}`;

export const grantConnect = (database: string, role: string): string =>
  `GRANT CONNECT ON DATABASE ${escapeIdentifier(database)} TO ${escapeIdentifier(role)}`;

type Wanted = Pick<Provision, 'relation' | 'database' | 'username'> & { readonly lookup: LookupLogin };

/** Whether all of it is there as it was made. In the database itself, because functions are seen there only. */
export const hasLookup = async (session: Session, application: string, wanted: Wanted): Promise<boolean> => {
  const { relation, database, username, lookup } = wanted;
  const [found] = await session.rows<{ sound: boolean; reads: boolean }>(foundSql, [
    clientRoleOf(database),
    clientTagOf(application, database),
    lookup.username,
    loginTagOf(application, relation),
    lookupBody(application, database),
    username,
  ]);
  if (found?.sound !== true || !found.reads) return found?.sound === true;
  const [asker] = await session.rows<{ verifier: string | null }>(
    'SELECT rolpassword AS verifier FROM pg_authid WHERE rolname = $1',
    [lookup.username],
  );
  return asker?.verifier === lookup.verifier.reveal();
};

const foundSql = `
  SELECT c.oid IS NOT NULL AND NOT c.rolcanlogin AND shobj_description(c.oid, 'pg_authid') = $2
           AND has_database_privilege(c.oid, (SELECT oid FROM pg_database WHERE datname = current_database()), 'CONNECT')
           AND EXISTS (SELECT FROM pg_auth_members WHERE roleid = c.oid AND member = l.oid AND admin_option)
           AND a.oid IS NOT NULL AND a.rolcanlogin AND shobj_description(a.oid, 'pg_authid') = $4
           AND coalesce(a.rolvaliduntil = 'infinity', true) AND a.rolconnlimit < 0
           AND has_database_privilege(a.oid, (SELECT oid FROM pg_database WHERE datname = current_database()), 'CONNECT')
           AND pg_get_userbyid(f.proowner) = current_user AND f.prosecdef AND f.proconfig = ARRAY['search_path=pg_catalog, pg_temp'] AND f.prosrc = $5
           AND has_schema_privilege(a.oid, f.pronamespace, 'USAGE') AND has_function_privilege(a.oid, f.oid, 'EXECUTE')
           AND NOT EXISTS (SELECT FROM aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) WHERE grantee = 0)
           AND has_table_privilege(f.proowner, 'pg_catalog.pg_authid', 'SELECT') AS sound,
         has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS reads
    FROM (SELECT) AS one
    LEFT JOIN pg_roles c ON c.rolname = $1
    LEFT JOIN pg_roles a ON a.rolname = $3
    LEFT JOIN pg_roles l ON l.rolname = $6
    LEFT JOIN pg_proc f ON f.oid = to_regprocedure('${lookupFunction}(text)')`;

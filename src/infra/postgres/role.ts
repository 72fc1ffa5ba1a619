import type { Session } from './session.ts';

/** A role as the catalogue shows it to everybody. */
export interface RoleFact {
  readonly oid: string;
  readonly comment: string | null;
  readonly canLogin: boolean;
}

export const roleIn = async (session: Session, name: string): Promise<RoleFact | undefined> => {
  const [fact] = await session.rows<RoleFact>(
    `SELECT oid::text, shobj_description(oid, 'pg_authid') AS comment, rolcanlogin AS "canLogin"
       FROM pg_roles WHERE rolname = $1`,
    [name],
  );
  return fact;
};

/** Roles whose comment begins like this. */
export const rolesTagged = async (
  session: Session,
  prefix: string,
): Promise<readonly { readonly name: string; readonly comment: string }[]> =>
  session.rows(
    `SELECT rolname::text AS name, description AS comment
       FROM pg_roles JOIN pg_shdescription ON objoid = oid AND classoid = 'pg_authid'::regclass
      WHERE starts_with(description, $1)`,
    [prefix],
  );

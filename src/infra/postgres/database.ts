import { escapeIdentifier, escapeLiteral } from 'pg';
import type { Session } from './session.ts';

/** A database as the catalogue shows it. */
export interface DatabaseFact {
  readonly owner: string;
  /** Its comment: our tag, somebody else's words, or nothing. */
  readonly comment: string | null;
  readonly takesConnections: boolean;
  readonly isOpenToPublic: boolean;
  readonly isOpenToOwner: boolean;
}

export const databaseIn = async (session: Session, name: string): Promise<DatabaseFact | undefined> => {
  const [fact] = await session.rows<DatabaseFact>(
    `SELECT pg_get_userbyid(datdba)::text AS owner, shobj_description(oid, 'pg_database') AS comment,
            datallowconn AS "takesConnections",
            EXISTS (SELECT FROM aclexplode(coalesce(datacl, acldefault('d', datdba)))
                     WHERE grantee = 0 AND privilege_type IN ('CONNECT', 'TEMPORARY')) AS "isOpenToPublic",
            3 = (SELECT count(DISTINCT privilege_type) FROM aclexplode(coalesce(datacl, acldefault('d', datdba)))
                  WHERE grantee = datdba AND privilege_type IN ('CONNECT', 'TEMPORARY', 'CREATE')) AS "isOpenToOwner"
       FROM pg_database WHERE datname = $1`,
    [name],
  );
  return fact;
};

/** Nobody can enter it before `prepareDatabase`: not for the moment either in which PUBLIC still has its rights. */
export const makeDatabase = async (session: Session, name: string, owner: string): Promise<void> =>
  session.run(`CREATE DATABASE ${escapeIdentifier(name)} OWNER ${escapeIdentifier(owner)} ALLOW_CONNECTIONS false`);

/** Marks a database of ours and lets in whom it is for. The caller has begun a transaction. */
export const prepareDatabase = async (
  session: Session,
  name: string,
  fact: DatabaseFact,
  tag: string,
): Promise<void> => {
  const database = `DATABASE ${escapeIdentifier(name)}`;
  if (fact.isOpenToPublic) await session.run(`REVOKE CONNECT, TEMPORARY ON ${database} FROM PUBLIC`);
  if (!fact.isOpenToOwner) await session.run(`GRANT ALL ON ${database} TO ${escapeIdentifier(fact.owner)}`);
  if (fact.comment !== null) return;
  await session.run(`COMMENT ON ${database} IS ${escapeLiteral(tag)}`);
  if (!fact.takesConnections) await session.run(`ALTER ${database} ALLOW_CONNECTIONS true`);
};

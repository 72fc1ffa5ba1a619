/** What the charm that ours takes the place of leaves in a PostgreSQL, statement for statement as far as anybody can see it there. */
import { escapeIdentifier, escapeLiteral } from 'pg';
import type { Secret } from '../../src/actors/model/secret.ts';
import { asSuperuser, type PostgresAddress } from '../../src/infra/local/postgres.ts';

export interface AncestorsClient {
  readonly database: string;
  readonly username: string;
  readonly password: Secret;
  /** Attributes that it asked for, as SQL; a client of `db-admin` is a superuser. */
  readonly attributes?: string;
  /** Kept by PostgreSQL as this says; the charm of PostgreSQL has both. */
  readonly encryption?: 'md5' | 'scram-sha-256';
}

/** Beside PostgreSQL 14: the administrator owns the database, the first client all that is in it; the others were granted that. */
export const servedByAncestor = async (server: PostgresAddress, client: AncestorsClient): Promise<void> => {
  const { database, username, password, attributes = '', encryption = 'scram-sha-256' } = client;
  const [its, login] = [escapeIdentifier(database), escapeIdentifier(username)];
  const isFirst = await asSuperuser(server, async (sql) => {
    await ensureRole(sql, 'relation_access');
    await sql.query(`SET password_encryption = '${encryption}'`);
    await sql.query(
      `CREATE ROLE ${login} WITH LOGIN ENCRYPTED PASSWORD ${escapeLiteral(password.reveal())} ${attributes}`,
    );
    await sql.query(`GRANT relation_access TO ${login}`);
    const found = await sql.query('SELECT FROM pg_database WHERE datname = $1', [database]);
    if (found.rowCount === 0) await sql.query(`CREATE DATABASE ${its}`);
    await sql.query(`REVOKE ALL PRIVILEGES ON DATABASE ${its} FROM PUBLIC`);
    await sql.query(`GRANT ALL PRIVILEGES ON DATABASE ${its} TO ${login}`);
    return found.rowCount === 0;
  });
  await asSuperuser(
    server,
    async (sql) => {
      if (isFirst) await sql.query(`ALTER SCHEMA public OWNER TO ${login}`);
      else
        await sql.query(
          `GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA public TO ${login}; GRANT ALL PRIVILEGES ON ALL SEQUENCES IN SCHEMA public TO ${login};
           GRANT ALL PRIVILEGES ON ALL FUNCTIONS IN SCHEMA public TO ${login}; GRANT USAGE, CREATE ON SCHEMA public TO ${login}`,
        );
    },
    database,
  );
};

/** Beside PostgreSQL 16: databases belong to a role of all of them, and clients act as one that owns what is in theirs. */
export const servedByAncestorOn16 = async (server: PostgresAddress, client: AncestorsClient): Promise<void> => {
  const { database, username, password, attributes = '' } = client;
  const [its, login] = [escapeIdentifier(database), escapeIdentifier(username)];
  const roleOf = (what: string): string => escapeIdentifier(`charmed_${database}_${what}`);
  await asSuperuser(server, async (sql) => {
    for (const role of ['relation_access', 'charmed_databases_owner']) await ensureRole(sql, role);
    await sql.query('ALTER ROLE charmed_databases_owner LOGIN CREATEDB');
    const found = await sql.query('SELECT FROM pg_database WHERE datname = $1', [database]);
    if (found.rowCount === 0) {
      await sql.query('SET ROLE charmed_databases_owner');
      await sql.query(`CREATE DATABASE ${its}`);
      await sql.query(`REVOKE ALL PRIVILEGES ON DATABASE ${its} FROM PUBLIC`);
      await sql.query('RESET ROLE');
      await sql.query(`CREATE ROLE ${roleOf('owner')} NOLOGIN`);
      await sql.query(`CREATE ROLE ${roleOf('admin')} NOLOGIN NOINHERIT IN ROLE ${roleOf('owner')}`);
      await sql.query(`CREATE ROLE ${roleOf('dml')} NOLOGIN`);
      await sql.query(`REVOKE CREATE ON DATABASE ${its} FROM charmed_databases_owner`);
      await sql.query(`GRANT CONNECT ON DATABASE ${its} TO ${roleOf('admin')}, charmed_databases_owner`);
      await sql.query(`GRANT CREATE, TEMPORARY ON DATABASE ${its} TO ${roleOf('owner')}`);
    }
    const roles = `IN ROLE ${roleOf('admin')}, ${roleOf('dml')}`;
    await sql.query(
      `CREATE ROLE ${login} WITH LOGIN ENCRYPTED PASSWORD ${escapeLiteral(password.reveal())} ${attributes} ${roles}`,
    );
    await sql.query(`GRANT relation_access TO ${login}`);
  });
  await asSuperuser(server, (sql) => sql.query(`ALTER SCHEMA public OWNER TO ${roleOf('owner')}`), database);
};

interface Sql {
  query(sql: string, values?: unknown[]): Promise<{ readonly rowCount: number | null }>;
}

/** Tests of other files may make it at the same moment. */
const ensureRole = async (sql: Sql, role: string): Promise<void> => {
  await sql.query(
    `DO $$ BEGIN CREATE ROLE ${escapeIdentifier(role)} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`,
  );
};

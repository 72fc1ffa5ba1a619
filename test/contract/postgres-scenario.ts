import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import type {
  Audit,
  BackendAccess,
  BackendServer,
  PostgresOutcome,
  PostgresStep,
} from '../../src/actors/model/backend.ts';
import type { Application } from '../../src/actors/model/ids.ts';
import type { Leadership } from '../../src/actors/model/leadership.ts';
import { Secret } from '../../src/actors/model/secret.ts';
import type { Account } from '../../src/actors/model/snapshot.ts';
import type { Postgres } from '../../src/actors/ports/postgres.ts';
import { createSystemClock } from '../../src/infra/clock/system-clock.ts';
import { createCredentials } from '../../src/infra/credentials/credentials.ts';
import type { Log } from '../../src/infra/files/log.ts';
import { asSuperuser, createAdministrator, type PostgresAddress } from '../../src/infra/local/postgres.ts';
import { openPostgres } from '../../src/infra/postgres/postgres.ts';
import { epoch, leadershipOf, nonce } from '../support/builders.ts';
import { freshApplication } from '../support/servers.ts';

/** One application that administers a server under a login of its own; what it makes has names that no other test has. */
export interface Scenario extends AsyncDisposable {
  readonly application: Application;
  readonly server: PostgresAddress;
  readonly postgres: Postgres;
  readonly access: BackendAccess;
  readonly primary: BackendServer;
  /** A step under the present leader, or another one, or along another way. */
  take(step: PostgresStep, way?: Partial<Way>): Promise<PostgresOutcome>;
  /** What became of these clients, as the present leader sees it. */
  audit(clients?: readonly TestClient[], way?: Partial<Way>): Promise<Audit>;
  /** A database and a login in it, ready for use. */
  client(options?: Partial<ClientOptions>): Promise<TestClient>;
  /** In every name it makes up, and in no other. */
  readonly mark: string;
  name(what: string): string;
  /** The same application, with other names; it ends with this one. */
  sibling(): Scenario;
}
interface Way {
  readonly leadership: Leadership;
  readonly primary: BackendServer;
  readonly signal: AbortSignal;
}
interface ClientOptions {
  readonly database: string;
  readonly relation: number;
  readonly username: string;
  readonly extraUserRoles: readonly string[];
}
export interface TestClient {
  readonly relation: number;
  readonly database: string;
  readonly account: Account;
  readonly step: Extract<PostgresStep, { type: 'ensureLogin' }>;
  /** By which logins are looked up that it makes by itself. */
  readonly lookup?: Account;
}

export type Rights = 'ordinary' | 'superuser';

export const openScenario = async (server: PostgresAddress, rights: Rights = 'ordinary'): Promise<Scenario> => {
  const application = freshApplication();
  const mark = freshMark();
  const { username, password } =
    rights === 'superuser' ? server.superuser : await createAdministrator(server, `admin_${mark}`);
  const postgres = openPostgres({ application, clock: createSystemClock(), log: silent });
  const endpoints = [`${server.host}:${server.port}`];
  const access = { name: 'main', endpoints, username, password, maintenanceDatabase: 'postgres' };
  return scenarioOf({ application, server, postgres, access }, mark);
};

const scenarioOf = (
  world: Pick<Scenario, 'application' | 'server' | 'postgres' | 'access'>,
  mark: string,
): Scenario => {
  const { server, postgres, access } = world;
  const primary = { host: server.host, port: server.port };
  let relations = 0;
  const take: Scenario['take'] = (step, way = {}) =>
    postgres.take(
      access,
      way.primary ?? primary,
      way.leadership ?? leader(1),
      step,
      way.signal ?? new AbortController().signal,
    );
  const name = (what: string): string => `${what}_${mark}`;
  return {
    ...world,
    mark,
    primary,
    take,
    name,
    sibling: () => ({ ...scenarioOf(world, freshMark()), [Symbol.asyncDispose]: async () => {} }),
    audit: (clients = [], way = {}) =>
      postgres.audit(
        access,
        way.primary ?? primary,
        way.leadership ?? leader(1),
        clients.map(({ step, account, lookup }) => ({
          ...step,
          ...account,
          ...(lookup === undefined ? {} : { lookup }),
        })),
        way.signal ?? new AbortController().signal,
      ),
    client: async (options = {}) => {
      relations += 1;
      const relation = options.relation ?? relations;
      const database = options.database ?? name('orders');
      const account = await createCredentials().mint(options.username ?? name(`login_${relation}`));
      const step = loginStep({ relation, database, account, extraUserRoles: options.extraUserRoles ?? [] });
      must(await take({ type: 'ensureDatabase', database }));
      must(await take(step));
      return { relation, database, account, step };
    },
    [Symbol.asyncDispose]: () => postgres[Symbol.asyncDispose](),
  };
};

const freshMark = (): string => randomBytes(6).toString('hex');

export const leader = (number: number, life = `nonce-${number}`): Leadership =>
  leadershipOf({ epoch: epoch(number), nonce: nonce(life) });

export const loginStep = (client: {
  readonly relation: number;
  readonly database: string;
  readonly account: Account;
  readonly extraUserRoles?: readonly string[];
}): Extract<PostgresStep, { type: 'ensureLogin' }> => ({
  type: 'ensureLogin',
  relation: client.relation,
  database: client.database,
  username: client.account.username,
  verifier: client.account.verifier,
  extraUserRoles: client.extraUserRoles ?? [],
});

export const dropStep = ({ relation, account }: Pick<TestClient, 'relation' | 'account'>): PostgresStep => ({
  type: 'dropLogin',
  relation,
  username: account.username,
});

export const must = (outcome: PostgresOutcome): void => {
  if (outcome.kind !== 'done')
    throw new Error(`the step was not done: ${outcome.kind === 'refused' ? outcome.reason : outcome.kind}`);
};

/** What `statements` answer (the rows of the last one) on one connection as this login. */
export const asLogin = async (
  { server }: Pick<Scenario, 'server'>,
  { username, password }: Pick<Account, 'username' | 'password'>,
  database: string,
  ...statements: readonly string[]
): Promise<readonly Record<string, unknown>[]> => {
  await using session = await connectAs(server, { username, password }, database);
  let rows: readonly Record<string, unknown>[] = [];
  for (const statement of statements) rows = (await session.client.query(statement)).rows;
  return rows;
};

export const connectAs = async (
  { host, port }: BackendServer,
  { username, password }: Pick<Account, 'username' | 'password'>,
  database: string,
): Promise<AsyncDisposable & { readonly client: Client; readonly ended: Promise<void> }> => {
  const client = new Client({ host, port, user: username, password: password.reveal(), database });
  const ended = new Promise<void>((resolve) => client.once('end', resolve));
  client.on('error', () => {}); // `ended` tells.
  await client.connect();
  return { client, ended, [Symbol.asyncDispose]: () => client.end() };
};

export const rowsOf = async (
  { server }: Pick<Scenario, 'server'>,
  sql: string,
  values: readonly unknown[] = [],
  database = 'postgres',
): Promise<readonly Record<string, unknown>[]> =>
  asSuperuser(server, async (client) => (await client.query(sql, [...values])).rows, database);

/** Everything steps may change in the catalogues about roles and databases whose names or comments contain `mark`. */
export const pictureOf = (scenario: Pick<Scenario, 'server'>, mark: string) => rowsOf(scenario, pictureSql, [mark]);

const pictureSql = `
  SELECT 'role' AS what, rolname::text AS name, shobj_description(r.oid, 'pg_authid') AS comment,
         concat_ws(' ', rolcanlogin, rolcreatedb, rolcreaterole, rolsuper, rolinherit, rolpassword) AS details
    FROM pg_authid r WHERE position($1 in rolname || coalesce(shobj_description(r.oid, 'pg_authid'), '')) > 0
  UNION ALL
  SELECT 'database', datname, shobj_description(d.oid, 'pg_database'),
         concat_ws(' ', pg_get_userbyid(datdba), datacl::text, datallowconn)
    FROM pg_database d WHERE position($1 in datname) > 0
  UNION ALL
  SELECT 'member', roleid::regrole::text, member::regrole::text, concat_ws(' ', admin_option, grantor::regrole)
    FROM pg_auth_members WHERE position($1 in roleid::regrole::text || member::regrole::text) > 0
  UNION ALL
  SELECT 'setting', setrole::regrole::text, datname, setconfig::text
    FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE position($1 in datname) > 0
  ORDER BY 1, 2, 3, 4`;

const silent: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** A login whose password is wrong. */
export const withPassword = (access: BackendAccess, password: string): BackendAccess => ({
  ...access,
  password: new Secret(password),
});

import { Client } from 'pg';
import type { Credentials } from '../../src/actors/model/status.ts';
import type { FleetUnderTest } from './fleet-under-test.ts';

export type Rows = readonly Readonly<Record<string, unknown>>[];

/** As a client, through the PgBouncers of one unit, over a connection of its own. */
export const queryThrough = (
  fleet: FleetUnderTest,
  unit: number,
  { username, password, database }: Pick<Credentials, 'username' | 'password' | 'database'>,
  sql: string,
): Promise<Rows> =>
  query({ host: fleet.unit(unit).address, port: fleet.listenPort, username, password, database }, sql);

/** As superuser, past every PgBouncer. */
export const queryPostgres = (fleet: FleetUnderTest, sql: string, database = 'postgres'): Promise<Rows> => {
  const { host, port, superuser } = fleet.postgres;
  return query({ host, port, username: superuser.username, password: superuser.password.reveal(), database }, sql);
};

const query = async (
  { host, port, username, password, database }: Login & { readonly host: string; readonly port: number },
  sql: string,
): Promise<Rows> => {
  const client = new Client({
    host,
    port,
    user: username,
    password,
    database,
    connectionTimeoutMillis: 15_000,
    query_timeout: 15_000,
  });
  client.on('error', () => {}); // What breaks the connection fails the query.
  try {
    await client.connect();
    return (await client.query<Readonly<Record<string, unknown>>>(sql)).rows;
  } finally {
    await client.end().catch(() => {});
  }
};

type Login = Pick<Credentials, 'username' | 'password' | 'database'>;

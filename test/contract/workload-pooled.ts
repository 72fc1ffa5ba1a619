import { Client, type ClientConfig } from 'pg';
import { createCredentials } from '../../src/infra/credentials/credentials.ts';
import { asSuperuser } from '../../src/infra/local/postgres.ts';
import { userOf } from '../support/builders.ts';
import { freshDatabase, type RunningPostgres } from '../support/servers.ts';
import { address } from './workload.contract.ts';
import type { Wanted } from './workload-rendering.ts';

/** A database and a login there, and what a unit at this port has to be told to pool them. */
export const pooled = async (
  postgres: RunningPostgres,
  port: number,
): Promise<{ readonly wanted: Wanted; readonly login: ClientConfig }> => {
  const database = await freshDatabase(postgres);
  const { username, password, verifier } = await createCredentials().mint(`u_${database}`);
  await asSuperuser(postgres, (client) =>
    client.query(`create role ${username} login password '${verifier.reveal()}'`),
  );
  const { host, port: serverPort } = postgres;
  const wanted: Wanted = {
    port,
    canary: 'gen-1',
    options: { pool_mode: 'transaction' },
    databases: [
      { name: database, database, backend: 'main', host, port: serverPort, maxConnections: 0, readOnly: false },
    ],
    users: [userOf(username, verifier)],
  };
  return { wanted, login: { host: address, port, database, user: username, password: password.reveal() } };
};

export const connected = async (login: ClientConfig): Promise<AsyncDisposable & { readonly client: Client }> => {
  const client = new Client({ ...login, connectionTimeoutMillis: 5_000 });
  await client.connect();
  return { client, [Symbol.asyncDispose]: () => client.end() };
};

import { execFile } from 'node:child_process';
import { appendFile, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import type { Secret } from '../../actors/model/secret.ts';
import { freePort } from './free-port.ts';
import { randomPassword, writeOwned } from './owned-file.ts';
import { endProcesses, processesIn } from './processes.ts';
import { markOf } from '../files/process-mark.ts';
import {
  type Escalation,
  type OnSpawned,
  type Program,
  type ServerProcess,
  startProcess,
  untilReady,
} from './server-process.ts';
import { type Account, createOwnedDirectory, spawnIds } from './service-user.ts';

export interface PostgresOptions {
  readonly initdb: string;
  readonly postgres: string;
  /** Made when it is missing; the caller removes it. */
  readonly directory: string;
  readonly account: Account;
  readonly port?: number;
  readonly maxConnections?: number;
  /** Further lines of postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly onSpawned?: OnSpawned;
}

/** A server wherever it runs, and the login that may do everything there. */
export interface PostgresAddress {
  readonly host: string;
  readonly port: number;
  readonly superuser: Login;
}

/** A cluster on disk: its server can be started, killed and started again with the same data. */
export interface PostgresCluster extends PostgresAddress {
  readonly options: PostgresOptions;
  /** The working directory of each of its processes. */
  readonly dataDirectory: string;
}

export interface Login {
  readonly username: string;
  readonly password: Secret;
}

export interface PostgresServer extends PostgresCluster {
  /** For instance `PostgreSQL 15.18`. */
  readonly version: string;
  readonly process: ServerProcess;
  /** Fast: sessions are cut, nothing is lost. */
  stop(): Promise<void>;
  /** With -9, its backends too. */
  kill(): Promise<void>;
}

export const startPostgres = async (options: PostgresOptions): Promise<PostgresServer> =>
  startCluster(await createCluster(options));

/** What takes longest. Safe against a kill, not against a loss of power: these clusters are thrown away. */
export const createCluster = async (options: PostgresOptions): Promise<PostgresCluster> => {
  const { directory, account } = options;
  await createOwnedDirectory(directory, account);
  const superuser = { username: 'postgres', password: randomPassword() };
  await initialise(options, superuser);
  const cluster = {
    options,
    host: '127.0.0.1',
    port: options.port ?? (await freePort(['127.0.0.1'])),
    superuser,
    dataDirectory: dataOf(directory),
  };
  await appendFile(join(cluster.dataDirectory, 'postgresql.conf'), settingsOf(cluster));
  return cluster;
};

/** Same port and data as before, also after a kill -9. Only one server of a cluster at a time. */
export const startCluster = async (cluster: PostgresCluster): Promise<PostgresServer> => {
  const { directory, account, postgres, onSpawned } = cluster.options;
  const program: Program = {
    command: postgres,
    args: ['-D', cluster.dataDirectory],
    directory,
    account,
    log: join(directory, 'postgres.log'),
    onSpawned,
  };
  await clearCluster(cluster.dataDirectory);
  const process = await startProcess(program);
  const end = async (escalation: Escalation): Promise<void> => {
    await process.stop(escalation);
    await clearCluster(cluster.dataDirectory);
  };
  const stop = (): Promise<void> => end(fastThenImmediate);
  try {
    const version = await untilReady(process, program, 30_000, () => postgresVersion(cluster));
    return { ...cluster, version, process, stop, kill: () => end([]) };
  } catch (cause) {
    await stop();
    throw cause;
  }
};

/** A login as an operator would give us: it may make roles and databases, and is no superuser. */
export const createAdministrator = async (server: PostgresAddress, username = 'troupe_admin'): Promise<Login> => {
  const password = randomPassword();
  await asSuperuser(server, (client) =>
    client.query(
      `create role ${client.escapeIdentifier(username)} login createrole createdb password ${client.escapeLiteral(password.reveal())}`,
    ),
  );
  return { username, password };
};

export const asSuperuser = async <T>(
  { host, port, superuser }: PostgresAddress,
  work: (client: Client) => Promise<T>,
  database = 'postgres',
): Promise<T> => {
  const client = new Client({
    host,
    port,
    user: superuser.username,
    password: superuser.password.reveal(),
    database,
    connectionTimeoutMillis: 2_000,
  });
  client.on('error', () => {}); // A connection that breaks later fails the query under way; without one nobody minds.
  try {
    await client.connect();
    return await work(client);
  } finally {
    await client.end();
  }
};

export const postgresVersion = async (server: PostgresAddress): Promise<string> => {
  const answer = await asSuperuser(server, (client) => client.query<{ server_version: string }>('show server_version'));
  return `PostgreSQL ${answer.rows[0]?.server_version.split(' ')[0] ?? 'unknown'}`;
};

/**
 * What a postmaster that was killed leaves: backends, for a moment or as long as their query takes, which keep the data
 * locked; and its lock on the data, a segment of shared memory that nobody else removes. Not for a server that runs.
 */
export const clearCluster = async (dataDirectory: string): Promise<void> => {
  const backends = (await processesIn(dataDirectory)).map(markOf).filter((mark) => mark !== null);
  await endProcesses(backends, 'SIGKILL', 5_000);
  const lockFile = join(dataDirectory, 'postmaster.pid');
  const segment = (await readFile(lockFile, 'utf8').catch(() => '')).split('\n')[6]?.trim().split(/\s+/)[1];
  if (segment !== undefined) await promisify(execFile)('ipcrm', ['-m', segment]).catch(() => {}); // Or it has gone already.
  await rm(lockFile, { force: true });
};

const fastThenImmediate: Escalation = [
  ['SIGINT', 10_000],
  ['SIGQUIT', 6_000],
];

const dataOf = (directory: string): string => join(directory, 'data');

const initialise = async ({ initdb, directory, account }: PostgresOptions, superuser: Login): Promise<void> => {
  const passwordFile = join(directory, 'initial-password');
  await writeOwned(passwordFile, `${superuser.password.reveal()}\n`, account);
  const args = ['--pgdata', dataOf(directory), '--username', superuser.username, '--pwfile', passwordFile];
  const kind = ['--auth=scram-sha-256', '--encoding=UTF8', '--locale=C.UTF-8', '--no-sync'];
  try {
    await promisify(execFile)(initdb, [...args, ...kind], {
      cwd: directory,
      env: { PATH: '/usr/bin:/bin', LANG: 'C.UTF-8' },
      timeout: 120_000,
      ...spawnIds(account),
    });
  } catch (cause) {
    throw new Error(`cannot create a PostgreSQL cluster in ${directory}: ${wordsOf(cause)}`, { cause });
  } finally {
    await rm(passwordFile, { force: true });
  }
};

const settingsOf = ({ options, host, port }: PostgresCluster): string => {
  const settings = {
    listen_addresses: host,
    port: String(port),
    unix_socket_directories: options.directory,
    max_connections: String(options.maxConnections ?? 100),
    fsync: 'off',
    full_page_writes: 'off',
    // Shared memory of parallel queries stays in the directory, also when the server is killed.
    dynamic_shared_memory_type: 'mmap',
    // A statement that fails may carry a secret; the message alone does not.
    log_min_error_statement: 'panic',
    ...options.settings,
  };
  const lines = Object.entries(settings).map(([key, value]) => `${key} = '${value.replaceAll("'", "''")}'`);
  return `\n${lines.join('\n')}\n`;
};

const wordsOf = (cause: unknown): string => {
  if (cause instanceof Error && 'stderr' in cause && typeof cause.stderr === 'string' && cause.stderr !== '')
    return cause.stderr.trim();
  return cause instanceof Error ? cause.message : String(cause);
};

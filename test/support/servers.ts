/**
 * Real servers for tests, the same whether they run from this machine's programs or in containers:
 *
 *   describe.each(redisServers())('on %s', (_, start) => {
 *     const redis = useServer(start);            // shared by the whole run
 *     it('…', async () => { redis().url … });
 *   });
 *
 * Isolation is cheap: a database of its own (`freshDatabase`) or an application name of its own (`freshApplication`).
 * A test that freezes or kills a server starts one of its own: `start('own')`.
 */
import { randomBytes } from 'node:crypto';
import { chown, mkdtemp } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { beforeAll, inject } from 'vitest';
import { z } from 'zod';
import type { Application } from '../../src/actors/model/ids.ts';
import { Secret } from '../../src/actors/model/secret.ts';
import { asSuperuser, type PostgresAddress } from '../../src/infra/local/postgres.ts';
import type { Account } from '../../src/infra/local/service-user.ts';
import { type Action, pgbouncersSchema, type Question, type Started, startedSchema } from './broker-contract.ts';

export interface RunningServer {
  /** What it is and where, for instance `Redis 7.0.15 (local)`. */
  readonly label: string;
  readonly host: string;
  readonly port: number;
  readonly passwordFile: string;
  /** Stops answering, keeps its connections. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** With -9; resolves when it is gone. */
  kill(): Promise<void>;
  /** Same port and data; resolves when it answers. */
  startAgain(): Promise<void>;
  /** A shared one lives on. */
  stop(): Promise<void>;
  /** Everything it has said. */
  log(): Promise<string>;
}
export interface RunningRedis extends RunningServer {
  /** Without the password. */
  readonly url: string;
  readonly password: Secret;
}
export interface RunningPostgres extends RunningServer, PostgresAddress {
  /** One that streams from it; the caller's own. */
  startStandby(): Promise<RunningPostgres>;
}

/** `own`: for this caller alone, who may harm it and stops it. */
export type Start<T> = (which?: 'shared' | 'own') => Promise<T>;
export type Servers<T> = readonly (readonly [name: string, start: Start<T>])[];

export const redisServers = (): Servers<RunningRedis> =>
  inject('testServers').redis.map((provider) => [provider, (which = 'shared') => startRedis(provider, which)]);

const startRedis = async (provider: string, which: 'shared' | 'own'): Promise<RunningRedis> => {
  const started = await startedBy(provider, which);
  const { host, port, password } = started;
  return { ...running(started, which), url: `redis://${host}:${port}`, password: new Secret(password) };
};

export const postgresServers = (): Servers<RunningPostgres> =>
  inject('testServers').postgres.map((provider) => [provider, (which = 'shared') => startPostgres(provider, which)]);

const startPostgres = async (provider: string, which: 'shared' | 'own'): Promise<RunningPostgres> =>
  asPostgres(await startedBy(provider, which), which);

const asPostgres = (started: Started, which: 'shared' | 'own'): RunningPostgres => ({
  ...running(started, which),
  superuser: { username: started.username, password: new Secret(started.password) },
  startStandby: async () => asPostgres(await ask({ type: 'standby', id: started.id }, startedSchema), 'own'),
});

/** What a fleet has for itself, on the ground of the project. */
export const fleetServers = (): Promise<[RunningRedis, RunningPostgres]> => {
  const { redis, postgres } = inject('ground');
  return Promise.all([startRedis(redis, 'own'), startPostgres(postgres, 'own')]);
};

export const unitsInContainers = (): boolean => inject('ground').units !== 'processes';

/** The shared server for the tests of a file or a describe block. */
export const useServer = <T>(start: Start<T>): (() => T) => {
  let server: T | undefined;
  beforeAll(async () => {
    server = await start();
  }, 120_000);
  return () => {
    if (server === undefined) throw new Error('the server is there only while tests run');
    return server;
  };
};

/**
 * PgBouncers of several ages as programs of this machine, or the one of the image where the project has its units in containers;
 * `run` (a path, or an image) is null where `reason` says why there is none.
 */
export const pgbouncerBinaries = () => ask({ type: 'pgbouncers' }, pgbouncersSchema);

/** `troupe` as it ships: bundled when a test first asks, which costs a fraction of what its sources cost at every start. */
export const troupeProgram = () => ask({ type: 'program' }, z.string());

/** The charm as it is deployed: packed and unpacked when a test first asks, into a directory that holds nothing else. */
export const packedCharm = () => ask({ type: 'charm' }, z.string());

/** An empty database on a server, by a name that no other test has. */
export const freshDatabase = async (server: PostgresAddress): Promise<string> => {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await asSuperuser(server, (client) => client.query(`create database ${name}`));
  return name;
};

/** An application name, and with it a key prefix, that no other test has. */
export const freshApplication = (): Application => `test-${randomBytes(6).toString('hex')}` as Application;

/** Who servers and PgBouncers run as in tests. */
export const testAccount = (): Account => inject('testServers').account;

/** A directory that the service account owns; it goes with the run. Anything that still runs in it then fails the run. */
export const testDirectory = async (prefix = 'd-'): Promise<string> => {
  const { root, account } = inject('testServers');
  const directory = await mkdtemp(join(root, prefix));
  await chown(directory, account.uid, account.gid);
  return directory;
};

const startedBy = (provider: string, which: 'shared' | 'own'): Promise<Started> =>
  ask({ type: 'start', provider, shared: which === 'shared' }, startedSchema);

const running = ({ id, label, host, port, passwordFile }: Started, which: 'shared' | 'own'): RunningServer => {
  const act = async (action: Action): Promise<void> => {
    if (which === 'shared') throw new Error(`cannot ${action} ${label}: other tests share it; start your own`);
    await ask({ type: 'act', id, action });
  };
  return {
    label,
    host,
    port,
    passwordFile,
    freeze: () => act('freeze'),
    thaw: () => act('thaw'),
    kill: () => act('kill'),
    startAgain: () => act('startAgain'),
    stop: async () => (which === 'shared' ? undefined : act('stop')),
    log: () => ask({ type: 'log', id }, z.string()),
  };
};

const ask = async <T>(question: Question, answer?: z.ZodType<T>): Promise<T> => {
  const { socket } = inject('testServers');
  const { status, body } = await new Promise<{ status: number; body: string }>((resolve, reject) => {
    const asking = request({ socketPath: socket, method: 'POST', agent: false }, (response) => {
      text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
    });
    asking.once('error', reject);
    asking.end(JSON.stringify(question));
  });
  if (status !== 200) throw new Error(body);
  return answer === undefined ? JSON.parse(body) : answer.parse(JSON.parse(body));
};

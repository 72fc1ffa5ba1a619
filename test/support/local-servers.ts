import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { markOf, signalTo } from '../../src/infra/files/process-mark.ts';
import { findBinary, missingBinaries, type Program } from '../../src/infra/local/binaries.ts';
import { randomPassword } from '../../src/infra/local/owned-file.ts';
import { type PostgresServer, startCluster, startPostgres } from '../../src/infra/local/postgres.ts';
import { processesIn } from '../../src/infra/local/processes.ts';
import { type RedisServer, startRedis } from '../../src/infra/local/redis.ts';
import type { Account } from '../../src/infra/local/service-user.ts';
import { startStandby } from './standby.ts';
import type { Offer, Provider, TestServer } from './test-server.ts';

/** Servers from this machine's own programs. */
export const localServers = (account: Account, path: string): Offer => {
  const offers = [
    offer(
      { name: 'local Redis', kind: 'redis', start: (directory) => redis(directory, account, path) },
      ['redis'],
      path,
    ),
    offer(
      { name: 'local PostgreSQL', kind: 'postgres', start: (directory) => postgres(directory, account, path) },
      ['initdb', 'postgres'],
      path,
    ),
  ];
  return { providers: offers.flatMap(({ providers }) => providers), lacks: offers.flatMap(({ lacks }) => lacks) };
};

const offer = (provider: Provider, programs: readonly Program[], path: string): Offer => {
  const lacks = missingBinaries(programs, path);
  return { providers: lacks.length === 0 ? [provider] : [], lacks };
};

const redis = async (directory: string, account: Account, path: string): Promise<TestServer> => {
  const options = {
    binary: findBinary('redis', path),
    directory,
    password: randomPassword(),
    appendOnly: true,
    account,
  };
  let server: RedisServer = await startRedis(options);
  return {
    label: `${server.version} (local)`,
    host: server.host,
    port: server.port,
    username: 'default',
    password: server.password,
    freeze: async () => server.process.signal('SIGSTOP'),
    thaw: async () => server.process.signal('SIGCONT'),
    kill: () => server.process.stop([]),
    startAgain: async () => {
      server = await startRedis({ ...options, port: server.port });
    },
    stop: () => server.stop(),
    log: () => readFile(join(directory, 'redis.log'), 'utf8'),
  };
};

const postgres = async (directory: string, account: Account, path: string): Promise<TestServer> => {
  const programs = { initdb: findBinary('initdb', path), postgres: findBinary('postgres', path) };
  return serverOf(await startPostgres({ ...programs, directory, account, maxConnections: 250 }));
};

const serverOf = (first: PostgresServer): TestServer => {
  let server = first;
  const signalAll = async (signal: NodeJS.Signals): Promise<void> => {
    // Of its processes, those of sessions come and go.
    for (const pid of await processesIn(server.dataDirectory)) {
      const mark = markOf(pid);
      if (mark !== null) signalTo(mark, signal);
    }
  };
  return {
    label: `${server.version} (local)`,
    host: server.host,
    port: server.port,
    username: server.superuser.username,
    password: server.superuser.password,
    freeze: () => signalAll('SIGSTOP'),
    thaw: () => signalAll('SIGCONT'),
    kill: () => server.kill(),
    startAgain: async () => {
      server = await startCluster(server);
    },
    stop: async () => {
      await signalAll('SIGCONT');
      await server.stop();
    },
    log: () => readFile(join(server.options.directory, 'postgres.log'), 'utf8'),
    startStandby: async (directory) => serverOf(await startStandby(server, directory)),
  };
};

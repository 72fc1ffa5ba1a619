import { createConnection } from 'node:net';
import { join } from 'node:path';
import type { Secret } from '../../actors/model/secret.ts';
import { freePort } from './free-port.ts';
import { writeOwned } from './owned-file.ts';
import { type OnSpawned, type Program, type ServerProcess, startProcess, untilReady } from './server-process.ts';
import { type Account, createOwnedDirectory } from './service-user.ts';

export interface RedisOptions {
  readonly binary: string;
  /** Made when it is missing; the caller removes it. A second start in the same directory finds the same data. */
  readonly directory: string;
  readonly host?: string;
  readonly port?: number;
  readonly password: Secret;
  /** Keeps every write in a file, so that nothing is lost when the process is killed; not against a loss of power. */
  readonly appendOnly: boolean;
  readonly account: Account;
  readonly onSpawned?: OnSpawned;
}

export interface RedisServer {
  /** Without the password. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly password: Secret;
  /** Holds the password; only the account (and root) can read it. */
  readonly passwordFile: string;
  /** For instance `Redis 7.0.15`. */
  readonly version: string;
  readonly process: ServerProcess;
  stop(): Promise<void>;
}

export const startRedis = async (options: RedisOptions): Promise<RedisServer> => {
  const { binary, directory, host = '127.0.0.1', password, account } = options;
  await createOwnedDirectory(directory, account);
  const port = options.port ?? (await freePort([host]));
  const config = join(directory, 'redis.conf');
  const passwordFile = join(directory, 'password');
  await writeOwned(config, configOf(options, host, port), account);
  await writeOwned(passwordFile, `${password.reveal()}\n`, account);

  const program: Program = {
    command: binary,
    args: [config],
    directory,
    account,
    log: join(directory, 'redis.log'),
    onSpawned: options.onSpawned,
  };
  const process = await startProcess(program);
  const stop = (): Promise<void> => process.stop([['SIGTERM', 5_000]]);
  try {
    const version = await untilReady(process, program, 20_000, () => redisVersion(host, port, password));
    return { url: `redis://${host}:${port}`, host, port, password, passwordFile, version, process, stop };
  } catch (cause) {
    await stop();
    throw cause;
  }
};

/** Loads the data first: while it does, Redis answers INFO with `loading:1` and PING with an error. */
export const redisVersion = async (host: string, port: number, password: Secret): Promise<string> => {
  const answer = await converse(host, port, `AUTH ${password.reveal()}\r\nPING\r\nINFO server\r\nQUIT\r\n`);
  if (!answer.includes('+PONG')) throw new Error(`it answers ${JSON.stringify(answer.slice(0, 200))}`);
  const valkey = /^valkey_version:(\S+)/m.exec(answer)?.[1];
  return valkey === undefined ? `Redis ${/^redis_version:(\S+)/m.exec(answer)?.[1] ?? 'unknown'}` : `Valkey ${valkey}`;
};

const configOf = ({ directory, password, appendOnly }: RedisOptions, host: string, port: number): string =>
  [
    `bind ${host}`,
    `port ${port}`,
    `dir ${directory}`,
    `requirepass ${password.reveal()}`,
    'daemonize no',
    'save ""',
    `appendonly ${appendOnly ? 'yes' : 'no'}`,
    'appendfsync no', // A busy disk would have it keep everybody waiting for seconds.
    'maxmemory-policy noeviction',
    '',
  ].join('\n');

/** Inline commands, so that a handful of lines do instead of a client library. */
const converse = (host: string, port: number, lines: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = createConnection({ host, port, timeout: 2_000 });
    let answer = '';
    socket.setEncoding('utf8');
    socket.once('connect', () => socket.write(lines));
    socket.on('data', (text: string) => {
      answer += text;
    });
    socket.once('timeout', () => socket.destroy(new Error('no answer within 2 s')));
    socket.once('error', reject);
    socket.once('close', () => resolve(answer));
  });

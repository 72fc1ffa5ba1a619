import { execFile } from 'node:child_process';
import { appendFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../../src/infra/local/free-port.ts';
import { writeOwned } from '../../src/infra/local/owned-file.ts';
import { type PostgresCluster, type PostgresServer, startCluster } from '../../src/infra/local/postgres.ts';
import { createOwnedDirectory, spawnIds } from '../../src/infra/local/service-user.ts';

/** A streaming standby of a running server, in its directory, on a port of its own. */
export const startStandby = async (primary: PostgresCluster, directory: string): Promise<PostgresServer> => {
  const { account } = primary.options;
  const dataDirectory = join(directory, 'data');
  const port = await freePort([primary.host]);
  await createOwnedDirectory(directory, account);
  await copyOf(primary, directory, dataDirectory);
  await appendFile(
    join(dataDirectory, 'postgresql.conf'),
    `port = ${port}\nunix_socket_directories = '${directory}'\n`,
  );
  return startCluster({ ...primary, options: { ...primary.options, directory }, port, dataDirectory });
};

const copyOf = async ({ host, port, superuser, options }: PostgresCluster, directory: string, to: string) => {
  const passwordFile = join(directory, 'passwords');
  const { username, password } = superuser;
  await writeOwned(passwordFile, `*:*:*:*:${password.reveal()}\n`, options.account);
  const program = join(dirname(options.postgres), 'pg_basebackup');
  const args = ['-D', to, '-h', host, '-p', String(port), '-U', username, '-R', '-c', 'fast', '--no-sync'];
  const env = { PATH: '/usr/bin:/bin', LANG: 'C.UTF-8', PGPASSFILE: passwordFile };
  await promisify(execFile)(program, args, { cwd: directory, env, ...spawnIds(options.account) });
};

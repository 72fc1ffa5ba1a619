import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Credentials } from '../../src/actors/model/status.ts';
import { environmentOf, uriOf } from '../../src/infra/cli/connection-string.ts';
import { findBinary, missingBinaries } from '../../src/infra/local/binaries.ts';
import { freePort } from '../../src/infra/local/free-port.ts';
import { asSuperuser } from '../../src/infra/local/postgres.ts';
import { postgresServers, useServer } from '../support/servers.ts';

const path = process.env['PATH'] ?? '';
const missing = missingBinaries(['psql'], path);
for (const sentence of missing) console.log(`Connection strings are not tried with libpq: ${sentence}`);

const run = promisify(execFile);
const question = 'select current_user, current_database()';

describe.runIf(missing.length === 0).each(postgresServers())('libpq on %s', (_, start) => {
  const server = useServer(start);

  /** A login and a database that exist, with every character that means something somewhere. */
  const nasty = async (): Promise<Credentials> => {
    const mark = randomBytes(4).toString('hex');
    const [username, database] = [`us:er@ho/st %20${mark}`, `d/b?x=1&y='2' "${mark}`];
    const password = `p@ss:w/o?r#d %41 '"\\$(id)\`+=&;[é${mark}`;
    await asSuperuser(server(), async (client) => {
      const [role, name] = [client.escapeIdentifier(username), client.escapeIdentifier(database)];
      await client.query(`create role ${role} login password ${client.escapeLiteral(password)}`);
      await client.query(`create database ${name}`);
      onTestFinished(() =>
        asSuperuser(server(), async (later) => {
          await later.query(`drop database ${name}`);
          await later.query(`drop role ${role}`);
        }),
      );
    });
    const { host, port } = server();
    // Nobody listens at the first: libpq goes on to the second, as it does when a unit is down.
    const endpoints = [`127.0.0.1:${await freePort(['127.0.0.1'])}`, `${host}:${port}`];
    return {
      client: 'c',
      database,
      username,
      password,
      endpoints,
      readOnlyDatabase: null,
      readOnlyEndpoints: [],
      tlsAuthorities: null,
    };
  };

  it('reads a URI as it is meant, whatever names and password hold, and tries the units in turn', async () => {
    const credentials = await nasty();
    const { stdout } = await run(findBinary('psql', path), ['-XAtq', '-F', '\n', '-c', question, uriOf(credentials)]);
    expect(stdout).toBe(`${credentials.username}\n${credentials.database}\n`);
  });

  it('reads the environment that a shell made of the lines', async () => {
    const credentials = await nasty();
    const script = `set -a\n${environmentOf(credentials)}\nexec "$0" -XAtq -F '\n' -c '${question}'`;
    const { stdout } = await run('/bin/sh', ['-c', script, findBinary('psql', path)], { env: { PATH: path } });
    expect(stdout).toBe(`${credentials.username}\n${credentials.database}\n`);
  });
});

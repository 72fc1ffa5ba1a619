/**
 * Plays the init of a container that it does not have: runs the program named first, passes signals on to it, and ends as it does. The
 * file named second, if one is: what a PgBouncer would run from that is the init's, since the coordinator that started it has ended.
 */
import { spawn } from 'node:child_process';

const [program = '', ini] = process.argv.slice(2);
const idle = ['-e', 'setInterval(() => {}, 1_000)'];
const pgbouncer = ini === undefined ? null : spawn(process.execPath, [...idle, ini], { stdio: 'ignore' });
const child = spawn(program, ['unit'], {
  stdio: 'ignore',
  env: { ...process.env, PLAYED_PGBOUNCER: `${pgbouncer?.pid ?? ''}` },
});
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
child.once('exit', (code) => {
  pgbouncer?.kill('SIGKILL');
  process.exit(code ?? 1);
});

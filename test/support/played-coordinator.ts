/**
 * Plays a coordinator for whoever starts one: tells in a file what it lives through, and does what PLAYED names. `PLAYED_RECORD`: that
 * file. `PLAYED_PGBOUNCER`: the process that it stops when it has drained; empty when there is none.
 */
import { appendFileSync, readFileSync } from 'node:fs';

const { PLAYED: played, PLAYED_RECORD: record = '', PLAYED_PGBOUNCER: pgbouncer = '' } = process.env;
const say = (word: string): void => appendFileSync(record, `${word}\n`);

const isFirst = readFileSync(record, 'utf8') === '';
say('start');
process.on('SIGTERM', () => {
  say('SIGTERM');
  if (played === 'crashes' && isFirst) process.exit(70);
  if (played === 'refuses') process.exit(2);
  if (pgbouncer !== '') process.kill(Number(pgbouncer), 'SIGKILL');
  setTimeout(() => {
    say('drained');
    process.exit(0);
  }, 20);
});
process.on('SIGINT', () => say('SIGINT'));
process.on('SIGHUP', () => say('SIGHUP'));
setInterval(() => {}, 1_000);
say('listens');

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { findBinary } from '../../src/infra/local/binaries.ts';
import { createOwnedDirectory } from '../../src/infra/local/service-user.ts';
import type { BenchFleet } from './fleet.ts';
import { median, type Row, rounded } from './report.ts';

const rounds = 7;
const seconds = 4;
const leastRatio = 0.98;

/** pgbench through one unit, in turns with the same PgBouncers started by hand on the same files, at an address of their own. */
export const throughput = async (bench: BenchFleet): Promise<Row> => {
  const [unit] = bench.fleet.units;
  if (unit === undefined) throw new Error('a fleet has at least one unit');
  await using hand = await openHand(bench);
  const pgbench = await pgbenchFor(bench);
  await pgbench(unit.address, 1);
  await pgbench(hand.address, 1);
  const pairs: { readonly through: number; readonly byHand: number }[] = [];
  for (let round = 0; round < rounds; round += 1) {
    // In turns and the other way round each time, so that both meet the same noise.
    const first = round % 2 === 0;
    const one = await pgbench(first ? unit.address : hand.address, seconds);
    const other = await pgbench(first ? hand.address : unit.address, seconds);
    pairs.push(first ? { through: one, byHand: other } : { through: other, byHand: one });
  }
  const ratios = pairs.map(({ through, byHand }) => through / byHand);
  const ratio = Math.round(median(ratios) * 1_000) / 1_000;
  return {
    name: `pgbench through one unit of ${bench.instances} instances, median of ${rounds} pairs`,
    value: rounded(median(pairs.map(({ through }) => through))),
    unit: 'transactions/s',
    floor: rounded(median(pairs.map(({ byHand }) => byHand))),
    ratio,
    budget: `≥ ${leastRatio} × by hand`,
    holds: ratio >= leastRatio,
    note: `ratios of the pairs from ${Math.min(...ratios).toFixed(3)} to ${Math.max(...ratios).toFixed(3)}`,
  };
};

interface Hand extends AsyncDisposable {
  readonly address: string;
}

/** The files of unit 0, but for where they listen. */
const openHand = async (bench: BenchFleet): Promise<Hand> => {
  const { fleet, account, instances } = bench;
  const address = '127.0.0.200';
  const processes: { readonly child: ChildProcess; readonly over: Promise<unknown> }[] = [];
  for (let id = 1; id <= instances; id += 1) {
    const directory = join(fleet.directory, `by-hand-${id}`);
    await createOwnedDirectory(directory, account);
    const state = join(fleet.directory, 'unit-0', 'pgbouncer-0');
    const ini = await readFile(join(state, 'instances', String(id), 'pgbouncer.ini'), 'utf8');
    const file = join(directory, 'pgbouncer.ini');
    await writeFile(
      file,
      ini
        .replace(/^listen_addr = .*$/m, `listen_addr = ${address}`)
        .replace(/^unix_socket_dir = .*$/m, `unix_socket_dir = ${directory}`),
      { mode: 0o444 },
    );
    const child = spawn(findBinary('pgbouncer', process.env['PATH'] ?? ''), ['-q', file], {
      stdio: 'ignore',
      ...(process.getuid?.() === 0 ? { uid: account.uid, gid: account.gid } : {}),
    });
    processes.push({ child, over: once(child, 'exit') });
  }
  for (let tries = 0; !(await answers(address, fleet.listenPort)); tries += 1) {
    if (tries > 100) throw new Error('the PgBouncers started by hand do not answer');
    await delay(50);
  }
  return {
    address,
    [Symbol.asyncDispose]: async () => {
      for (const { child } of processes) child.kill('SIGKILL');
      await Promise.all(processes.map(({ over }) => over));
    },
  };
};

const answers = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });

/** Transactions a second of a statement that costs PostgreSQL next to nothing. */
const pgbenchFor = async (bench: BenchFleet): Promise<(address: string, forSeconds: number) => Promise<number>> => {
  const { fleet, api, runDir } = bench;
  const answer = await api(0).credentials('first', AbortSignal.timeout(10_000));
  if (answer.kind !== 'told') throw new Error(`no credentials: ${JSON.stringify(answer)}`);
  const { username, password, database } = answer.value;
  const directory = join(runDir, 'pgbench');
  await mkdir(directory);
  const [script, passwords] = [join(directory, 'select.sql'), join(directory, 'pgpass')];
  await writeFile(script, 'select 1;\n');
  await writeFile(passwords, `*:*:*:${username}:${password}\n`, { mode: 0o600 });
  return async (address, forSeconds) => {
    const login = ['-h', address, '-p', String(fleet.listenPort), '-U', username, database];
    const args = ['-n', '-f', script, '-T', String(forSeconds), '-c', '8', '-j', '2', ...login];
    const { stdout } = await promisify(execFile)(findBinary('pgbench', process.env['PATH'] ?? ''), args, {
      env: { PGPASSFILE: passwords, LANG: 'C.UTF-8' },
    });
    const tps = Number(/^tps = ([\d.]+)/m.exec(stdout)?.[1]);
    if (!(tps > 0)) throw new Error(`pgbench did not say how fast it was: ${stdout}`);
    return tps;
  };
};

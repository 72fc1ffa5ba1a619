import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { loopbackOf } from '../../src/infra/local/free-port.ts';
import { type FleetUnderTest, program } from './fleet-under-test.ts';
import { queryThrough } from './fleet-query.ts';
import { testDirectory } from './servers.ts';

/**
 * Clients that stay connected, and one that connects anew for each transaction; or of both kinds so many, with transactions so long,
 * that there are never enough server connections for them.
 */
export type LoadKind =
  | 'persistent'
  | 'reconnecting'
  | 'reconnecting fast'
  | 'saturating'
  | 'saturating and reconnecting';

const shape = {
  persistent: ['-c', '2', '-j', '2', '-R', '40'],
  reconnecting: ['-C', '-c', '1', '-j', '1', '-R', '8'],
  'reconnecting fast': ['-C', '-c', '4', '-j', '4', '-R', '80'],
  saturating: ['-c', '48', '-j', '2'],
  // A thread for each: one that connects waits for a server connection, and so would the others of its thread.
  'saturating and reconnecting': ['-C', '-c', '2', '-j', '2'],
} as const satisfies Readonly<Record<LoadKind, readonly string[]>>;

export interface LoadReport {
  readonly what: string;
  readonly exitCode: number | NodeJS.Signals | null;
  readonly failed: number | null;
  /** Everything it said that is neither progress nor the report at the end. */
  readonly complaints: readonly string[];
  readonly transactions: number;
}

export interface Load extends AsyncDisposable {
  /** Lets it finish what it is at; resolves with its reports. */
  end(): Promise<readonly LoadReport[]>;
}

/** pgbench on the address of each of these units, writing; resolves once every one of them has made progress. */
export const startLoad = (
  fleet: FleetUnderTest,
  units: readonly number[],
  kinds?: readonly LoadKind[],
): Promise<Load> => {
  const port = fleet.listenPort;
  const targets = units.map((unit) => ({ name: `unit ${unit}`, host: loopbackOf(unit), port }));
  return startLoadAt(fleet, targets, kinds);
};

export interface LoadTarget {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** The same, wherever the fleet is reached. */
export const startLoadAt = async (
  fleet: FleetUnderTest,
  targets: readonly LoadTarget[],
  kinds: readonly LoadKind[] = ['persistent', 'reconnecting'],
): Promise<Load> => {
  const directory = await testDirectory();
  const [script, slowly] = [join(directory, 'load.sql'), join(directory, 'slowly.sql')];
  const passwordFile = join(directory, 'pgpass');
  const { username, password, database } = fleet.first;
  await writeFile(script, 'insert into load (who) values (:client_id);\n');
  await writeFile(slowly, 'begin;\ninsert into load (who) values (:client_id);\nselect pg_sleep(0.05);\ncommit;\n');
  await writeFile(passwordFile, `*:*:*:${username}:${password}\n`, { mode: 0o600 });
  await queryThrough(fleet, 0, fleet.first, 'create table if not exists load (who int)');
  const loads = targets.flatMap(({ name, host, port }) =>
    kinds.map((kind) => {
      const login = ['-h', host, '-p', String(port), '-U', username, database];
      const args = [
        '-n',
        '-f',
        kind.startsWith('saturating') ? slowly : script,
        '-T',
        '600',
        '-P',
        '1',
        ...shape[kind],
        ...login,
      ];
      return new Bench(`${kind} through ${name}`, args, passwordFile);
    }),
  );
  const stop = async (): Promise<void> => {
    await Promise.all(loads.map((load) => load.kill()));
  };
  try {
    await Promise.all(loads.map((load) => load.hasBegun));
  } catch (cause) {
    await stop();
    throw cause;
  }
  return { end: () => Promise.all(loads.map((load) => load.end())), [Symbol.asyncDispose]: stop };
};

/** What a report of clients that noticed nothing looks like, however much they did. */
export const unharmed = (reports: readonly LoadReport[]): readonly LoadReport[] =>
  reports.map(({ what, transactions }) => ({ what, exitCode: 0, failed: 0, complaints: [], transactions }));

class Bench {
  readonly hasBegun: Promise<void>;
  readonly #what: string;
  readonly #child;
  readonly #ended: Promise<number | NodeJS.Signals | null>;
  readonly #complaints: string[] = [];
  #report = '';

  constructor(what: string, args: readonly string[], passwordFile: string) {
    this.#what = what;
    this.#child = spawn(program('pgbench'), args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PGPASSFILE: passwordFile, PGCONNECT_TIMEOUT: '30', LANG: 'C.UTF-8' },
    });
    this.#ended = once(this.#child, 'close').then(([code, signal]) => code ?? signal);
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#report += text;
    });
    const begun = Promise.withResolvers<void>();
    this.hasBegun = begun.promise;
    createInterface(this.#child.stderr).on('line', (line) => {
      const [, tps] = /^progress: .* s, ([\d.]+) tps/.exec(line) ?? [];
      if (tps === undefined) this.#complaints.push(line);
      else if (Number(tps) > 0) begun.resolve();
    });
    void this.#ended.then(() => begun.reject(new Error(`${what} ended: ${this.#complaints.join('; ')}`)));
  }

  async end(): Promise<LoadReport> {
    this.#child.kill('SIGALRM'); // As if its time (-T) were over.
    const exitCode = await this.#ended;
    const numberIn = (pattern: RegExp): number | null => {
      const text = pattern.exec(this.#report)?.[1];
      return text === undefined ? null : Number(text);
    };
    return {
      what: this.#what,
      exitCode,
      failed: numberIn(/number of failed transactions: (\d+)/),
      complaints: this.#complaints,
      transactions: numberIn(/number of transactions actually processed: (\d+)/) ?? 0,
    };
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

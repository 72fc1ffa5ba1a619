import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Application } from '../actors/model/ids.ts';
import { apiAt } from '../infra/cli/api-client.ts';
import { exit } from '../infra/cli/exit.ts';
import { paintWith } from '../infra/cli/screen.ts';
import { screenWidth } from '../infra/cli/progress.ts';
import { statusTable } from '../infra/cli/status-table.ts';
import { table } from '../infra/cli/table.ts';
import { findBinary, MissingBinary, missingBinaries } from '../infra/local/binaries.ts';
import { LocalFleet, type LocalFleetOptions } from '../infra/local/local-fleet.ts';
import { proveUnits, type UnitProof } from '../infra/local/proof.ts';
import { DemoRefused } from '../infra/local/remains.ts';
import { serviceAccount } from '../infra/local/service-user.ts';
import { bringUp, type Served } from './bring-up.ts';

/** What the demo needs of the process it runs in. */
export interface DemoIo {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  /** The TROUPE_* values of the environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where sockets are, unless the environment says otherwise. */
  readonly runDir: string;
  /** Where programs are searched, as in PATH. */
  readonly path: string;
  /** Runs a unit, for instance `node …/main.ts unit`. */
  readonly unitCommand: readonly [program: string, ...args: string[]];
  /** Whether stdout is to be coloured. */
  readonly colour: boolean;
}

/** A whole fleet on this machine until Ctrl-C, or until every instance is proven (`--once`). Resolves to the exit code. */
export const demo = async (args: readonly string[], io: DemoIo): Promise<number> => {
  const say = (sentence: string): void => void io.stderr.write(`demo: ${sentence}\n`);
  const options = optionsOf(args);
  if (options.kind === 'help') {
    io.stdout.write(`${usage}\n`);
    return exit.ok;
  }
  if (options.kind === 'invalid') {
    say(`${options.problem} (troupe demo --help)`);
    return exit.usage;
  }
  using interruption = interruptionOf(io);
  const { signal } = interruption;
  try {
    return await run(options, io, { say, signal });
  } catch (cause) {
    if (signal.aborted) say(messageOf(signal.reason));
    else say(messageOf(cause));
    return cause instanceof DemoRefused || cause instanceof MissingBinary ? exit.refused : exit.failed;
  }
};

interface DemoOptions {
  readonly units: number;
  readonly instances: number;
  readonly once: boolean;
  readonly json: boolean;
}

interface Surroundings {
  /** Takes a sentence for people. */
  readonly say: (sentence: string) => void;
  readonly signal: AbortSignal;
}

const run = async (options: DemoOptions, io: DemoIo, { say, signal }: Surroundings): Promise<number> => {
  const startedAt = performance.now();
  await using fleet = await LocalFleet.open({ ...options, ...(await placeOf(io)), againMs: 10_000, say });
  say(`Redis, PostgreSQL and ${options.units} units come up in ${fleet.directory}`);
  const served = await bringUp(fleet, { ...options, apiOf: ({ socket }) => apiAt(socket), say, signal });
  if (!options.once) {
    await present(fleet, served, options, io);
    await untilAborted(signal);
    say('removing everything');
    return exit.ok;
  }
  say('every unit serves the client: now each instance has to prove it');
  const units = await prove(fleet, served, signal);
  signal.throwIfAborted();
  const tookMs = Math.round(performance.now() - startedAt);
  const isProven = units.every(({ instances }) => instances.every(({ ok }) => ok));
  io.stdout.write(options.json ? `${JSON.stringify({ units, tookMs })}\n` : proofTable(units, tookMs, io));
  return isProven ? exit.ok : exit.failed;
};

const usage = `troupe demo: a whole fleet on this machine, to try it out; Ctrl-C removes all of it

usage: troupe demo [--units N] [--instances N] [--once] [--json]

  --units N      PgBouncer units, each with an address of its own (3)
  --instances N  PgBouncer processes of each unit (2)
  --once         prove every instance as a client, print what it said, and remove everything
  --json         for programs: nothing but JSON on stdout

It starts a Redis and a PostgreSQL of its own. TROUPE_RUN_DIR, TROUPE_USER, TROUPE_PGBOUNCER and TROUPE_APPLICATION
mean what they mean to a unit.`;

const optionsOf = (
  args: readonly string[],
):
  | ({ readonly kind: 'options' } & DemoOptions)
  | { readonly kind: 'invalid'; readonly problem: string }
  | { readonly kind: 'help' } => {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        units: { type: 'string', default: '3' },
        instances: { type: 'string', default: '2' },
        once: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) return { kind: 'help' };
    const { once, json } = values;
    const [units, instances] = [countOf('units', values.units, 50), countOf('instances', values.instances, 16)];
    return { kind: 'options', units, instances, once, json };
  } catch (cause) {
    return { kind: 'invalid', problem: messageOf(cause) };
  }
};

const countOf = (name: string, text: string, most: number): number => {
  const count = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > most) throw new Error(`--${name} ${text}: must be a number from 1 to ${most}`);
  return count;
};

/** The machine as the demo finds it; what is missing is told in one go. */
const placeOf = async ({
  environment,
  runDir,
  path,
  unitCommand,
}: DemoIo): Promise<Pick<LocalFleetOptions, 'application' | 'account' | 'runDir' | 'command' | 'programs'>> => {
  const pgbouncer = environment['TROUPE_PGBOUNCER'];
  const missing = missingBinaries(
    ['redis', 'initdb', 'postgres', ...(pgbouncer === undefined ? ['pgbouncer' as const] : [])],
    path,
  );
  if (missing.length > 0) throw new MissingBinary([...new Set(missing)].join('; '));
  return {
    application: (environment['TROUPE_APPLICATION'] ?? 'pgbouncer') as Application,
    account: await serviceAccount(environment['TROUPE_USER']),
    runDir: environment['TROUPE_RUN_DIR'] ?? runDir,
    command: unitCommand,
    programs: {
      redis: findBinary('redis', path),
      initdb: findBinary('initdb', path),
      postgres: findBinary('postgres', path),
      pgbouncer: pgbouncer ?? findBinary('pgbouncer', path),
    },
  };
};

/** What a person can do with it now. The password is in a file of its own, for psql. */
const present = async (fleet: LocalFleet, served: Served, { json }: DemoOptions, io: DemoIo): Promise<void> => {
  const { username, database, password } = served.credentials;
  const passwordFile = join(fleet.directory, 'pgpass');
  await writeFile(passwordFile, `*:*:*:${username}:${password.replaceAll(/[\\:]/g, '\\$&')}\n`, { mode: 0o600 });
  const hosts = fleet.units.map(({ address }) => `${address}:${fleet.listenPort}`).join(',');
  const psql = `psql 'postgresql://${username}@${hosts}/${database}?passfile=${passwordFile}'`;
  if (json) io.stdout.write(`${JSON.stringify({ psql, status: served.status })}\n`);
  else
    io.stdout.write(
      `${statusTable(served.status, { colour: io.colour, width: screenWidth(io.stdout) })}\n\nAs the client "first": ${psql}\nCtrl-C removes all of it.\n`,
    );
};

const prove = (
  fleet: LocalFleet,
  { credentials, status }: Served,
  signal: AbortSignal,
): Promise<readonly UnitProof[]> =>
  proveUnits(
    fleet.units.map((unit) => ({
      unit: unit.unit,
      host: unit.address,
      port: fleet.listenPort,
      instances: status.units.find(({ number }) => number === unit.number)?.instances ?? [],
      connections: (asking) => apiAt(unit.socket).connections(asking),
    })),
    credentials,
    { signal },
  );

/** Ctrl-C and its kin, and a reader of our output that went away, are reasons to clean up, never to vanish. */
const interruptionOf = ({ stdout, stderr }: DemoIo): Disposable & { readonly signal: AbortSignal } => {
  const controller = new AbortController();
  const interrupt = (why: string): void => controller.abort(new Error(`ended by ${why}`));
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of signals) process.on(name, interrupt);
  for (const stream of [stdout, stderr]) stream.on('error', () => interrupt('the reader of its output'));
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => signals.forEach((name) => process.off(name, interrupt)),
  };
};

const proofTable = (units: readonly UnitProof[], tookMs: number, { colour }: DemoIo): string => {
  const rows = units.flatMap(({ unit, instances }) =>
    instances.map(({ id, pid, sessionUser, currentUser, database, backendPid, ok, error }) => [
      unit,
      String(id),
      String(pid ?? ''),
      sessionUser ?? '',
      currentUser ?? '',
      database ?? '',
      String(backendPid ?? ''),
      ok ? ({ text: 'ok', tone: 'good' } as const) : ({ text: error ?? '', tone: 'bad' } as const),
    ]),
  );
  const headings = ['UNIT', 'INSTANCE', 'PID', 'LOGIN', 'ACTS AS', 'DATABASE', 'BACKEND PID', 'PROOF'];
  return `${table(headings, rows, paintWith(colour))}\n\ntook ${(tookMs / 1_000).toFixed(1)} s\n`;
};

const untilAborted = async (signal: AbortSignal): Promise<void> => {
  if (!signal.aborted) await once(signal, 'abort');
};

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

/**
 * A whole fleet of ordinary units on real servers, for the tests of one file:
 *
 *   const fleet = useFleet({ againMs: 6_000 });
 *   it('…', async () => { await fleet().everyoneActive(); … });
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll } from 'vitest';
import type { Change } from '../../src/actors/model/change.ts';
import type { Credentials, FleetStatus, UnitStatus } from '../../src/actors/model/status.ts';
import { type ApiClient, apiAt } from '../../src/infra/cli/api-client.ts';
import { findBinary, type Program } from '../../src/infra/local/binaries.ts';
import type { LocalUnit } from '../../src/infra/local/local-fleet.ts';
import { spawnIds } from '../../src/infra/local/service-user.ts';
import { bringUp } from '../../src/programs/bring-up.ts';
import { FleetPlace } from './fleet-place.ts';
import { Watch } from './fleet-watch.ts';
import { pgbouncerBinaries, type RunningPostgres, type RunningRedis, testAccount, troupeProgram } from './servers.ts';

export interface FleetOptions {
  /** Between the end of a process and its next start. Longer than the lease (5 s): nobody who was killed leads at once again. */
  readonly againMs: number;
  /** Further TROUPE_* values of the units. */
  readonly environment?: Readonly<Record<string, string>>;
  /** What the units run, as in `pgbouncerBinaries`; without it the first of those. */
  readonly pgbouncer?: string;
}

export const unitCount = 3;
const instanceCount = 2;
const main = await troupeProgram();

/** Opened before the first test, removed after the last; a test that fails shows the last words of every unit. */
export const useFleet = (options: FleetOptions): (() => FleetUnderTest) => {
  let fleet: FleetUnderTest | undefined;
  beforeAll(async () => {
    fleet = await FleetUnderTest.open(options);
  }, 120_000);
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') console.error(await fleet?.lastWords());
  });
  afterAll(async () => {
    await fleet?.[Symbol.asyncDispose]();
  }, 60_000);
  return () => {
    if (fleet === undefined) throw new Error('the fleet is there only while tests run');
    return fleet;
  };
};

export class FleetUnderTest implements AsyncDisposable {
  readonly place: FleetPlace;
  /** Of the client that is there from the beginning. */
  readonly first: Credentials;
  readonly #watches: readonly Watch[];
  readonly #statuses: FleetStatus[];

  private constructor(place: FleetPlace, first: Credentials) {
    this.place = place;
    this.first = first;
    this.#statuses = [];
    this.#watches = this.units.map(
      ({ socket }) => new Watch(apiAt(socket), (status) => void this.#statuses.push(status)),
    );
  }

  static async open({ againMs, environment = {}, pgbouncer }: FleetOptions): Promise<FleetUnderTest> {
    const said: string[] = [];
    const say = (sentence: string): void => void said.push(sentence);
    const place = await FleetPlace.open({
      units: unitCount,
      instances: instanceCount,
      againMs,
      environment,
      pgbouncer: pgbouncer ?? (await usualPgbouncer()),
      say,
    });
    try {
      const options = { apiOf: ({ socket }: LocalUnit) => apiAt(socket), instances: instanceCount, say };
      const { credentials } = await bringUp(place, { ...options, signal: AbortSignal.timeout(110_000) });
      const fleet = new FleetUnderTest(place, credentials);
      await fleet.everyoneActive();
      return fleet;
    } catch (cause) {
      const words = await lastWordsOf(place);
      await place[Symbol.asyncDispose]();
      throw new Error(`no fleet: ${String(cause)}\n${said.join('\n')}\n${words}`, { cause });
    }
  }

  get redis(): RunningRedis {
    return this.place.redis;
  }

  get postgres(): RunningPostgres {
    return this.place.postgres;
  }

  get runDir(): string {
    return this.place.runDir;
  }

  get listenPort(): number {
    return this.place.listenPort;
  }

  get units(): readonly LocalUnit[] {
    return this.place.units;
  }

  /** Every status that any unit told since the fleet was opened. */
  get statuses(): readonly FleetStatus[] {
    return this.#statuses;
  }

  api(unit: number): ApiClient {
    return apiAt(this.unit(unit).socket);
  }

  watch(unit: number): Watch {
    return found(this.#watches[unit], `unit ${unit}`);
  }

  unit(number: number): LocalUnit {
    return found(this.units[number], `unit ${number}`);
  }

  /** Asked for at one unit, and kept. */
  async change(change: Change, unit = 0): Promise<number> {
    const outcome = await this.api(unit).change(change, AbortSignal.timeout(15_000));
    if (outcome.kind !== 'accepted') throw new Error(`"${change.type}" was not accepted: ${JSON.stringify(outcome)}`);
    return outcome.version;
  }

  /** Published for a client, once they are. */
  async credentials(client: string, unit = 0): Promise<Credentials> {
    for (;;) {
      const version = this.watch(unit).latest; // Before it is asked: what is told meanwhile may be the last there is.
      const answer = await this.api(unit).credentials(client, AbortSignal.timeout(15_000));
      if (answer.kind === 'told') return answer.value;
      await this.watch(unit).until((status) => status !== version);
    }
  }

  /** All units, in the view of each of them, serve what is published, under one leader; and what else is asked for. */
  async everyoneActive(also: (status: FleetStatus) => boolean = () => true, withinMs = 60_000): Promise<FleetStatus> {
    const deadline = performance.now() + withinMs;
    const holds = (status: FleetStatus): boolean => isSettled(status) && also(status);
    for (;;) {
      for (const watch of this.#watches) await watch.until(holds, Math.max(deadline - performance.now(), 1));
      const seen = this.#watches.map(({ latest }) => latest).filter((latest) => latest !== null);
      const [status] = seen;
      if (status !== undefined && seen.every(holds)) return status;
    }
  }

  async leader(): Promise<UnitStatus & { readonly pid: number; readonly epoch: number }> {
    const { leader, units } = await this.everyoneActive();
    const unit = units.find((one) => one.unit === leader?.unit);
    return { ...found(unit, 'the leader'), pid: found(unit?.pid, 'its process'), epoch: found(leader?.epoch, 'epoch') };
  }

  /** Of all PgBouncers, by unit. */
  instancePids(status: FleetStatus): readonly (readonly number[])[] {
    return status.units.map(({ instances }) => instances.map(({ pid }) => found(pid, 'an instance')));
  }

  /** What an instance's own console says: rows of columns. */
  async show(unit: number, instance: number, what: string): Promise<readonly (readonly string[])[]> {
    const socketDir = join(this.runDir, `pgbouncer-${unit}`, String(instance));
    const login = ['-h', socketDir, '-p', String(this.listenPort), '-U', 'pgbouncer', '-d', 'pgbouncer'];
    const { stdout } = await promisify(execFile)(
      program('psql'),
      ['-XAtq', '-F', '\t', ...login, '-c', `SHOW ${what}`],
      // The console lets in without a password who has the user id of the process.
      { cwd: '/', env: { LANG: 'C.UTF-8' }, timeout: 20_000, ...spawnIds(testAccount()) },
    );
    return stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t'));
  }

  /** The command line as a person uses it; what it prints, or an error with what it complains of. */
  async cli(...args: readonly string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(process.execPath, [main, ...args], {
      env: { PATH: process.env['PATH'], TROUPE_RUN_DIR: this.runDir },
      timeout: 90_000,
    });
    return stdout.trim();
  }

  /** Where a unit keeps its files. */
  stateDir(unit: number): string {
    return join(this.place.directory, `unit-${unit}`, `pgbouncer-${unit}`);
  }

  instanceFile(unit: number, instance: number, name: 'pgbouncer.ini' | 'pgbouncer.log'): Promise<string> {
    return readFile(join(this.stateDir(unit), 'instances', String(instance), name), 'utf8');
  }

  lastWords(): Promise<string> {
    return lastWordsOf(this.place);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const watch of this.#watches) watch[Symbol.dispose]();
    await this.place[Symbol.asyncDispose]();
  }
}

/** Unit and number of every PgBouncer. */
export const allInstances: readonly (readonly [unit: number, instance: number])[] = Array.from(
  { length: unitCount * instanceCount },
  (_, index) => [Math.floor(index / instanceCount), (index % instanceCount) + 1],
);

/** The first of those that there are: of the machine, or of the image. */
const usualPgbouncer = async (): Promise<string> => {
  const [usual] = await pgbouncerBinaries();
  if (usual?.run == null) throw new Error(usual?.reason ?? 'there is no PgBouncer here');
  return usual.run;
};

export const program = (name: Program): string => findBinary(name, process.env['PATH'] ?? '');

/** Never to ourselves: that is what process id 0 would mean. */
export const signalTo = (pid: number | null | undefined, signal: NodeJS.Signals): void => {
  if (pid === null || pid === undefined || pid <= 1) throw new Error(`no process to send ${signal} to`);
  process.kill(pid, signal);
};

const isSettled = ({ leader, generation, units, backplane }: FleetStatus): boolean =>
  leader !== null &&
  backplane.state === 'connected' &&
  generation.published !== null &&
  generation.good === generation.published &&
  units.length === unitCount &&
  units.every(
    (unit) =>
      unit.status === 'active' &&
      unit.generation.applied === generation.published &&
      unit.instances.length === instanceCount &&
      unit.instances.every(({ state, pid }) => state === 'serving' && pid !== null),
  );

const lastWordsOf = async ({ units }: FleetPlace): Promise<string> => {
  const logs = await Promise.all(units.map(({ log }) => readFile(log, 'utf8').catch(() => '')));
  return logs.map((log, number) => `unit ${number}:\n${log.split('\n').slice(-15).join('\n')}`).join('\n');
};

const found = <T>(value: T | null | undefined, what: string): T => {
  if (value === null || value === undefined) throw new Error(`there is no ${what}`);
  return value;
};

/**
 * The charm in a Juju model: its own dispatch for every hook, in this process, with PgBouncers and a PostgreSQL in memory. Beside it a
 * PostgreSQL and its clients as charms that do what their interface says, and no more.
 */
import { type Dispatched, dispatchedBy } from '../../src/infra/juju/environment.ts';
import { JujuLog } from '../../src/infra/juju/log.ts';
import { type Bag, createJujuTools } from '../../src/infra/juju/tools.ts';
import type { RunTool, ToolCall } from '../../src/infra/juju/tool-process.ts';
import type { SettledNote } from '../../src/infra/pebble/settled-note.ts';
import { type Before, lookBefore } from '../../src/programs/charm-front.ts';
import { createSettling, type Settling } from '../../src/programs/charm-settling.ts';
import type { Clock } from '../../src/actors/ports/clock.ts';
import type { Credentials } from '../../src/actors/ports/credentials.ts';
import { createSystemClock } from '../../src/infra/clock/system-clock.ts';
import { createCredentials } from '../../src/infra/credentials/credentials.ts';
import type { KubernetesApi } from '../../src/infra/kubernetes/api.ts';
import type { Postgres } from '../../src/actors/ports/postgres.ts';
import type { Workload } from '../../src/actors/ports/workload.ts';
import { MemoryWorkload } from '../../src/infra/memory/workload.ts';
import { MemoryMachine } from '../../src/infra/memory/workload-machine.ts';
import type { TlsMaterial } from '../../src/actors/model/workload.ts';
import type { WallMs } from '../../src/actors/model/ids.ts';
import { Secret } from '../../src/actors/model/secret.ts';
import type { Telemetry } from '../../src/infra/pebble/telemetry.ts';
import { createDispatchTrace } from '../../src/programs/charm-trace.ts';
import { runDispatch } from '../../src/programs/dispatch.ts';
import { MemoryPostgres } from '../simulation/kit-fleet.ts';
import { type Charm, charmIn, type Script } from './juju/charm.ts';
import type { RanHook } from './juju/hook-record.ts';
import { JujuModel } from './juju/juju-model.ts';
import { type BackendOffer, certifier, legacyRequirer, provider, requirer } from './juju/played-charms.ts';

export interface RealParts {
  workloadOf(unit: string, number: number): Promise<Workload>;
  /** At which clients reach a unit. */
  addressOf(number: number): string;
  readonly postgres: Postgres;
  readonly backend: BackendOffer;
}
const memoryBackend: BackendOffer = {
  endpoints: 'db:5432',
  username: 'relation_user',
  password: new Secret('backend-password'),
};

interface Told {
  /** Where it is reached, as `host:port`. */
  readonly address: string;
  readonly waits: readonly { readonly id: string }[];
  readonly budget: readonly { readonly name: string; readonly given: number }[];
}

/** Hooks fail as often as a test wants it. */
const patient = { attempts: 100 };

export const application = 'pgbouncer-k8s';
const container = 'pgbouncer';

export interface CharmFleetOptions {
  readonly clock?: Clock;
  readonly credentials?: Credentials;
  /** Called when something is about to be done to PostgreSQL or to PgBouncers; when it throws, it is not done. */
  readonly effectBegins?: () => void;
  /** Called when it was done, with what it was; what it throws comes in place of the answer. */
  readonly effectDone?: (step: string) => void;
  /** What there is instead of PgBouncers and a PostgreSQL in memory. */
  readonly real?: RealParts;
  /** What the container of a unit does for those who watch over it. */
  readonly telemetryOf?: (unit: string) => Telemetry;
  /** Deployed first, and there until `refresh`. */
  readonly before?: Charm;
  /** Of Juju. */
  readonly version?: string;
  /** Deployed whatever it assumes of Juju. */
  readonly isForced?: boolean;
  /** Each dispatch looks first whether there is anything to do, and a whole one runs all the same; what it does not look at. */
  readonly front?: { readonly blindTo: 'nothing' | 'juju' | 'container' };
}

export class CharmFleet implements AsyncDisposable {
  readonly juju: JujuModel;
  readonly machine = new MemoryMachine();
  readonly postgres = new MemoryPostgres();
  /** Why the container of a unit is not there. */
  readonly breakdowns = new Map<string, string>();
  /** The cluster, when there is one. */
  kubernetes: KubernetesApi | null = null;
  /** With what each unit serves clients that ask for TLS, as of its last hook. */
  readonly materials = new Map<string, TlsMaterial | null>();
  /** How many dispatches would have ended before the actors, and those of them that had something to do all the same. */
  readonly ends = { early: 0, wrongly: [] as string[] };
  readonly #notes = new Map<string, string>();
  readonly #heard = new Map<string, string>();
  readonly #front: CharmFleetOptions['front'] | null;
  #later = 0;

  readonly #clock: Clock;
  readonly #credentials: Credentials;
  readonly #effectBegins: () => void;
  readonly #effectDone: (step: string) => void;
  readonly #real: RealParts | null;
  readonly #telemetryOf: (unit: string) => Telemetry | null;

  private constructor(juju: JujuModel, options: CharmFleetOptions) {
    const { clock, credentials, effectBegins, effectDone, real, telemetryOf } = options;
    this.juju = juju;
    this.#clock = clock ?? createSystemClock();
    this.#credentials = credentials ?? createCredentials();
    this.#effectBegins = effectBegins ?? (() => {});
    this.#effectDone = effectDone ?? (() => {});
    this.#real = real ?? null;
    this.#telemetryOf = telemetryOf ?? (() => null);
    this.#front = options.front ?? null;
  }

  static async open(seed: number, units = 3, options: CharmFleetOptions = {}): Promise<CharmFleet> {
    const { version } = options;
    const juju = await JujuModel.open({ seed, ...(version === undefined ? {} : { version }) });
    const fleet = new CharmFleet(juju, options);
    const charm = options.before ?? fleet.#charm();
    const newPod = async (unit: string): Promise<void> => fleet.#emptyPod(unit);
    const forced = options.isForced === true ? { ...charm, oldestJuju: null } : charm;
    fleet.juju.deploy(application, forced, { units, newPod });
    return fleet;
  }

  /** Juju, PgBouncers and PostgreSQL are again as they are now, as often as what is returned is called. Not while a hook runs. */
  keep(): () => void {
    const kept = [this.juju.keep(), this.machine.keep(), this.postgres.keep()];
    const [away, later, notes] = [this.postgres.away, this.#later, [...this.#notes]];
    return () => {
      this.#notes.clear();
      for (const [unit, note] of notes) this.#notes.set(unit, note);
      for (const restore of kept) restore();
      this.postgres.away = away;
      this.#later = later;
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.juju[Symbol.asyncDispose]();
  }

  /** To the charm as it is now. */
  refresh(): void {
    this.juju.refresh(application, this.#charm());
  }

  /** The id of the relation. */
  relateBackend(): number {
    this.juju.deploy('postgresql', provider(this.#real?.backend ?? memoryBackend));
    return this.juju.integrate(`${application}:backend-database`, 'postgresql:database');
  }

  relateClient(name: string, request: Bag = { database: name }, how = { acrossModels: false }): number {
    if (!this.juju.applications.has(name)) this.juju.deploy(name, requirer(request));
    return this.juju.integrate(`${application}:database`, `${name}:database`, how);
  }

  /** A client of the legacy interface, on `db` or `db-admin`. */
  relateLegacy(name: string, endpoint: 'db' | 'db-admin', database: string): number {
    this.juju.deploy(name, legacyRequirer(database));
    return this.juju.integrate(`${application}:${endpoint}`, `${name}:db`);
  }

  /** An authority that answers every request with the same certificate. */
  relateAuthority(certificate: string, authority: string): number {
    this.juju.deploy('authority', certifier(certificate, authority));
    return this.juju.integrate(`${application}:certificates`, 'authority:certificates');
  }

  /** The workload container of a unit is not there, until `containerComes`. */
  containerGoes(number: number): void {
    const unit = this.unitName(number);
    this.breakdowns.set(unit, 'Pebble does not answer');
    this.#emptyPod(unit);
    this.juju.stopWorkload(unit, container);
  }
  containerComes(number: number): void {
    this.breakdowns.delete(this.unitName(number));
    this.juju.restartWorkload(this.unitName(number), container);
  }

  /** Hooks of one unit, up to and with the first of that name. */
  async upTo(number: number, hook: string): Promise<void> {
    for (let ran = await this.juju.stepOf(this.unitName(number)); ran?.hook !== hook; ) {
      if (ran === null) throw new Error(`${this.unitName(number)} has no hook ${hook} to run`);
      ran = await this.juju.stepOf(this.unitName(number));
    }
  }

  /** Until Juju has no hook left, and every unit has looked at the state of things once more. */
  async settle(): Promise<readonly RanHook[]> {
    const ran = [...(await this.juju.settle(patient))];
    if (!this.juju.applications.has(application)) return ran;
    this.juju.updateStatus(application);
    return [...ran, ...(await this.juju.settle(patient))];
  }

  unitName(number: number): string {
    return `${application}/${number}`;
  }

  status(number: number): string {
    const { word, message } = this.juju.unit(this.unitName(number)).status;
    return message === '' ? word : `${word}: ${message}`;
  }

  get statuses(): readonly string[] {
    return this.juju.unitsOf(application).map((unit) => this.juju.statusOf(unit)?.word ?? '');
  }

  /** What a unit tells its peers of itself. */
  bagOf(number: number): Told {
    const [peers = -1] = this.juju.relationsOf(application, 'pgb-peers');
    return JSON.parse(
      this.juju.bag(peers, this.unitName(number))['troupe-unit'] ?? '{"address":"","budget":[],"waits":[]}',
    );
  }

  lease(): { readonly holder: string; readonly epoch: number } {
    const [peers = -1] = this.juju.relationsOf(application, 'pgb-peers');
    return JSON.parse(this.juju.bag(peers, application)['troupe-lease'] ?? '{}');
  }

  leader(): number {
    return Number((this.juju.leaderOf(application) ?? '').split('/')[1]);
  }

  /** Labels of the secrets that the application owns. */
  ownSecrets(): readonly string[] {
    return [...this.juju.secrets.values()].flatMap(({ owner, label }) => (owner.name === application ? [label] : []));
  }

  /** Wall clocks go on. */
  later(ms: number): void {
    this.#later += ms;
  }

  /** So many hooks, failed ones too. */
  async steps(count: number): Promise<void> {
    for (let step = 0; step < count && (await this.juju.step()) !== null; step += 1);
  }

  waits(number: number): readonly string[] {
    return this.bagOf(number).waits.map(({ id }) => id);
  }

  /** What a client was told: flat, with the content of its secrets. */
  answerTo(relation: number): Bag {
    const bag = this.juju.bag(relation, application);
    return { ...bag, ...this.juju.secret(bag['secret-user'] ?? ''), ...this.juju.secret(bag['secret-tls'] ?? '') };
  }

  /** Logins in the auth file of a unit. */
  loginsOn(number: number): readonly string[] {
    const { authFile } = this.machine.diskOf(this.unitName(number));
    return [...(authFile ?? '').matchAll(/^"([^"]+)"/gm)].map(([, name]) => name ?? '');
  }

  /** Its processes and files are gone with the container. */
  #emptyPod(unit: string): void {
    for (const instance of [1, 2]) {
      const process = this.machine.processOf(unit, instance);
      if (process !== null) this.machine.end(process);
    }
    const disk = this.machine.diskOf(unit);
    disk.authFile = null;
    disk.inis.clear();
    this.#notes.delete(unit);
  }

  #charm(): Charm {
    return { ...charmIn('deploy/charm'), body: { script: (hook) => this.#dispatch(hook) } };
  }

  #inMemory(unit: string, number: number): MemoryWorkload {
    const listenAddress = `127.0.2.${number + 1}`;
    const workload = new MemoryWorkload(this.machine, { name: unit, listenAddress, instances: 2 });
    workload.goAway(this.breakdowns.get(unit) ?? null);
    return workload;
  }

  async #dispatch({ environment, run }: Parameters<Script>[0]): Promise<void> {
    const dispatched = dispatchedBy(environment);
    const { unit, application: name, model } = dispatched;
    const number = Number(unit.slice(unit.lastIndexOf('/') + 1));
    const real = this.#real;
    const workload = real === null ? this.#inMemory(unit, number) : await real.workloadOf(unit, number);
    const tls: { material: TlsMaterial | null } = { material: null };
    const log = new JujuLog();
    const clock = this.#clock;
    const later = this.#later;
    const telemetry = this.#telemetryOf(unit);
    const trace = createDispatchTrace(dispatched, environment['JUJU_DISPATCH_PATH'] ?? '', log);
    const before = await this.#lookBefore(dispatched, run);
    const { settling, wasQuiet } = this.#settlingOf(unit, trace.noting(run), before);
    const code = await runDispatch({
      dispatched,
      tools: createJujuTools(settling.run),
      settling,
      trace,
      workload: telling<Workload>(workload, this.#effectBegins, this.#effectDone),
      postgres: telling<Postgres>(real?.postgres ?? this.postgres, this.#effectBegins, this.#effectDone),
      credentials: this.#credentials,
      clock: {
        now: () => clock.now(),
        after: (ms, call) => clock.after(ms, call),
        wall: () => (clock.wall() + later) as WallMs,
      },
      instances: 2,
      kubernetes: this.kubernetes,
      tls,
      advertise: real?.addressOf(number) ?? `${name}-service.${model.name}.svc.cluster.local`,
      ...(telemetry === null ? {} : { telemetry }),
      log,
    });
    await workload[Symbol.asyncDispose]();
    if (dispatched.event.type !== 'secretRemove') this.materials.set(unit, tls.material);
    if (before?.isSettled === true) {
      this.ends.early += 1;
      if (!wasQuiet()) this.ends.wrongly.push(`${unit} ${environment['JUJU_CONTEXT_ID']}`);
    }
    if (code !== 0) throw new Error(`exit ${code}`);
  }

  async #lookBefore({ event, unit }: Dispatched, run: RunTool): Promise<Before | null> {
    const front = this.#front;
    if (front === null || front === undefined || !looks.has(event.type)) return null;
    const { blindTo } = front;
    const processes = [1, 2].flatMap((instance) => this.machine.processOf(unit, instance) ?? []);
    const { authFile, inis } = this.machine.diskOf(unit);
    const seen = JSON.stringify([authFile, [...inis], processes.map(({ pid }) => pid)]);
    const frozen = processes.filter((process) => process.frozen).map(({ port }) => port);
    return lookBefore({
      facts: `${unit} ${this.juju.version}`,
      glance: async () => {
        const breakdown = this.breakdowns.get(unit);
        if (breakdown !== undefined) throw new Error(breakdown);
        return {
          note: this.#notes.get(unit) ?? null,
          whole: async () => ({
            digest: blindTo === 'container' ? '' : seen,
            consoles: processes.map(({ port }) => ({ host: 'console', port })),
          }),
          close: () => {},
        };
      },
      run: blindTo === 'juju' ? (call) => this.#stale(unit, call, run) : run,
      answers: async ({ host, port }) =>
        host === 'console' ? blindTo === 'container' || !frozen.includes(port) : this.postgres.away === null,
      now: () => this.#clock.wall() + this.#later,
    });
  }

  /** As the last dispatch that was a whole one heard it. */
  #stale(unit: string, call: ToolCall, run: RunTool): Promise<string> {
    const heard = this.#heard.get(JSON.stringify([unit, call.tool, call.args]));
    return heard === undefined ? run(call) : Promise.resolve(heard);
  }

  /** One that would have ended leaves the note as it is, and is looked at by a whole one that asks everything itself. */
  #settlingOf(unit: string, run: RunTool, before: Before | null): { settling: Settling; wasQuiet: () => boolean } {
    const isSettled = before?.isSettled === true;
    let written = false;
    const note: SettledNote = {
      write: async (text) => {
        written = true;
        if (!isSettled) this.#notes.set(unit, text);
      },
      remove: async () => {
        if (!isSettled) this.#notes.delete(unit);
      },
    };
    const asksAll = isSettled || this.#front?.blindTo === 'juju';
    const asked = before === null || !asksAll ? before : { ...before, answers: new Map() };
    const remembering: RunTool = async (call) => {
      const answer = await run(call);
      if (!isSettled) this.#heard.set(JSON.stringify([unit, call.tool, call.args]), answer);
      return answer;
    };
    return { settling: createSettling(remembering, note, asked), wasQuiet: () => written };
  }
}

const looks: ReadonlySet<string> = new Set(['updateStatus', 'configChanged']);

/** Of a step, wherever it stands among what it is taken with. */
const nameOf = (taken: readonly unknown[]): string =>
  taken.flatMap((one) =>
    typeof one === 'object' && one !== null && 'type' in one && typeof one.type === 'string' ? [one.type] : [],
  )[0] ?? '';

/** The same, but that each step is told before it is taken, and again before it is answered. */
const telling = <Port extends { take: (...step: never[]) => Promise<unknown> }>(
  port: Port,
  begins: () => void,
  done: (step: string) => void,
): Port =>
  new Proxy(port, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      if (name !== 'take') return member.bind(target);
      return async (...step: readonly unknown[]) => {
        begins();
        const outcome: unknown = await member.apply(target, step);
        done(nameOf(step));
        return outcome;
      };
    },
  });

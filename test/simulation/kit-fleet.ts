import { calm, type Faults } from '../../src/actors/kit/faults.ts';
import { performsOf, type SimulatedUnit } from '../../src/actors/kit/simulated.ts';
import { startTicker } from '../../src/actors/kit/ticker.ts';
import { World } from '../../src/actors/kit/world.ts';
import type {
  Audit,
  BackendFacts,
  PostgresOutcome,
  PostgresStep,
  Provision,
  TaggedLogin,
} from '../../src/actors/model/backend.ts';
import type { Change, ChangeOutcome } from '../../src/actors/model/change.ts';
import { Secret } from '../../src/actors/model/secret.ts';
import type { Leadership } from '../../src/actors/model/leadership.ts';
import { BackplaneUnavailable } from '../../src/actors/ports/backplane.ts';
import { type Postgres, PostgresUnavailable } from '../../src/actors/ports/postgres.ts';
import { WorkloadUnavailable } from '../../src/actors/ports/workload.ts';
import { MemoryHub, MemoryKeeper, openMemoryBackplane } from '../../src/infra/memory/backplane.ts';
import { MemoryWorkload } from '../../src/infra/memory/workload.ts';
import { MemoryMachine } from '../../src/infra/memory/workload-machine.ts';
import { createCast } from '../../src/programs/cast.ts';
import { application, nonce, unit as unitName } from '../support/builders.ts';

export type Unit = SimulatedUnit<ReturnType<typeof createCast>>;

/** Whole units in one simulation: the real actors and their real effects, over adapters that keep everything in memory. */
export class Fleet {
  readonly world: World;
  readonly hub: MemoryHub;
  readonly postgres = new MemoryPostgres();
  /** What operators were answered, newest last. */
  readonly answers: ChangeOutcome[] = [];
  readonly machine = new MemoryMachine();
  /** Of units that run, by number. */
  readonly workloads = new Map<number, MemoryWorkload>();
  readonly #keepers = new Map<number, MemoryKeeper>();
  readonly #units = new Map<number, Unit>();
  #processes = 0;

  constructor(seed: number, faults: Partial<Faults> = {}) {
    const wire = { ...calm, delayMs: [0.2, 3], patienceMs: 500, lagMs: 1 } as const;
    this.world = new World({ seed, order: 'mailboxes', faults: { ...wire, ...faults } });
    this.hub = new MemoryHub(this.world.clock);
  }

  get units(): readonly Unit[] {
    return [...this.#units.values()].filter(({ isOver }) => !isOver);
  }

  /** The coordinator of a unit; its PgBouncers and what it kept are those of its earlier life. */
  async start(number: number): Promise<Unit> {
    const keeper = (this.#keepers.get(number) ?? new MemoryKeeper()).started();
    this.#keepers.set(number, keeper);
    this.#processes += 1;
    const self = unitName(number);
    const instances = 2;
    const listenAddress = `127.0.0.1${number}`;
    const workload = new MemoryWorkload(this.machine, { name: self, listenAddress, instances });
    this.workloads.set(number, workload);
    const ports = {
      backplane: openMemoryBackplane({
        hub: this.hub,
        unit: self,
        instances,
        nonce: nonce(`n${this.#processes}`),
        keeper,
      }),
      workload,
      postgres: this.postgres,
      credentials: {
        mint: async (username: string) => ({ username, password: secret, verifier: secret }),
        keep: async (username: string, password: Secret) => ({ username, password, verifier: secret }),
      },
      callers: { answer: (_: string, outcome: ChangeOutcome) => this.answers.push(outcome) },
    };
    const settings = { ...castSettings, self, nonce: ports.backplane.nonce, pid: this.#processes };
    const cast = createCast(settings, ports);
    const unavailable = createCast(settings, {
      ...ports,
      backplane: away(BackplaneUnavailable),
      workload: away(WorkloadUnavailable),
      postgres: away(PostgresUnavailable),
    });
    const unit = this.world.start({
      name: self,
      cast,
      perform: performsOf(cast),
      unavailable: performsOf(unavailable),
      lane: (actor, { type }) => (['workload', 'backend'].includes(actor) || type === 'postgres' ? undefined : 'store'),
    });
    this.#units.set(number, unit);
    const { memory, losses, published } = await ports.backplane.recall();
    const wall = unit.clock.wall();
    unit.send(
      ['config', { type: 'recalled', memory, published, wall }],
      ['client', { type: 'recalled', memory, published, wall }],
      ['unit', { type: 'recalled', memory, losses, wall }],
      ['workload', { type: 'recalled', verified: memory.verified, published }],
      ['unit', { type: 'hookArrived', hook: { type: 'start' } }],
    );
    startTicker(unit.clock, 250, () => unit.send(['unit', { type: 'ticked', wall: unit.clock.wall() }]));
    ports.backplane.onHint(() => unit.send(['unit', { type: 'hinted' }]));
    return unit;
  }

  /** An operator at some unit asks for a change. */
  ask(change: Change): void {
    const about = { request: 'r', expected: null, author: 'operator', reason: '', wall: this.world.clock.wall() };
    this.world.random.pick(this.units)?.send(['config', { type: 'changeAsked', change, ...about }]);
  }
}

const secret = new Secret('secret');
const castSettings = {
  application,
  version: '0.1.0',
  advertise: null,
  endpoints: null,
  leaseTtlMs: 5_000,
  drainDelayMs: 100,
  drainDeadlineMs: 1_000,
  departureGraceMs: 3_600_000,
  leaveAs: 'down' as const,
  usageMs: 5_000,
  rejoinMs: 5_000,
  observeOnly: null,
};

/** A port of which nothing is ever heard. */
const away = <P extends object>(Unavailable: new (message: string) => Error): P =>
  new Proxy({} as P, { get: () => () => Promise.reject(new Unavailable('no answer in time')) });

/** One PostgreSQL with a fence, as far as its logins go. */
export class MemoryPostgres implements Postgres {
  readonly logins = new Map<string, TaggedLogin>();
  /** Why nobody gets through to it; null while it answers. */
  away: string | null = null;
  #fence = 0;

  /** Its logins are again those that there are now, as often as what is returned is called. */
  keep(): () => void {
    const [logins, fence] = [[...this.logins], this.#fence];
    return () => {
      this.logins.clear();
      for (const [username, login] of logins) this.logins.set(username, login);
      this.#fence = fence;
    };
  }

  async inspect(): Promise<BackendFacts> {
    if (this.away !== null) return { kind: 'away', reason: this.away };
    const primary = { host: 'db', port: 5432 };
    const facts = {
      version: 170_000,
      systemId: '7',
      timeline: 1,
      maxConnections: 100,
      silent: [],
      clientConnections: 97,
      ailments: [],
    };
    return { kind: 'ready', primary, standbys: [], ...facts };
  }

  async take(_: unknown, __: unknown, { epoch }: Leadership, step: PostgresStep): Promise<PostgresOutcome> {
    if (this.away !== null) throw new PostgresUnavailable(this.away);
    if (epoch < this.#fence) return { kind: 'fenced' };
    if (step.type === 'raiseFence') this.#fence = epoch;
    if (step.type === 'ensureLogin' || step.type === 'adoptLogin')
      this.logins.set(step.username, { relation: step.relation, username: step.username });
    if (step.type === 'dropLogin') this.logins.delete(step.username);
    return { kind: 'done' };
  }

  async audit(_: unknown, __: unknown, { epoch }: Leadership, provisions: readonly Provision[]): Promise<Audit> {
    if (this.away !== null) throw new PostgresUnavailable(this.away);
    if (epoch !== this.#fence) return { kind: epoch < this.#fence ? 'fenced' : 'unfenced' };
    const lost = provisions.filter(({ username }) => !this.logins.has(username));
    const findings = lost.map(({ relation }) => ({ relation, kind: 'mendable', step: 'ensureLogin' }) as const);
    return { kind: 'audited', logins: [...this.logins.values()], findings };
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

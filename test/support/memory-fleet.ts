import { changeIntent, emptyIntent } from '../../src/actors/config/change.ts';
import { notNamed } from '../../src/actors/config/fleet.ts';
import type { Change, ChangeOutcome, Compared, Moved } from '../../src/actors/model/change.ts';
import { differenceOf } from '../../src/actors/model/difference.ts';
import type { WallMs } from '../../src/actors/model/ids.ts';
import { departureOf, type Intent } from '../../src/actors/model/intent.ts';
import type { RelationRecord, UnitRecord } from '../../src/actors/model/snapshot.ts';
import type { FleetStatus, RelationStatus, UnitStatus } from '../../src/actors/model/status.ts';
import type { CredentialsAnswer, Fleet } from '../../src/actors/ports/fleet.ts';
import { optionsView } from '../../src/pgbouncer/catalogue.ts';
import { accountOf, nonce, recordOf, unit, unitRecordOf } from './builders.ts';

/** What a unit of the fleet serves. */
interface Seat {
  readonly applied: number | null;
  readonly message: string;
  /** Who can end what it lacks. */
  readonly on?: string;
  /** How others see it. */
  readonly presence?: UnitRecord['presence'];
}

/**
 * A fleet in memory, small but whole: intent with the real rules, a leader that publishes, units that verify, clients that are
 * served. Left alone it does all of that by itself; held, each step is taken by the test.
 */
export class MemoryFleet {
  intent: Intent | null = null;
  isRead = true;
  isHeld: boolean;
  backplane: FleetStatus['backplane'] = {
    kind: 'memory',
    state: 'connected',
    message: '',
    since: '2026-11-24T10:00:00.000Z',
  };
  leader: number | null = 0;
  /** A standby is there. */
  readable = false;
  readonly asked: { readonly change: Change; readonly author: string; readonly expected: number | null }[] = [];
  readonly #earlier: (Intent | null)[] = [];
  readonly #seats: Seat[];
  readonly #versions = new Map<number, readonly string[]>();
  readonly #gone = new Set<number>();
  readonly #left = new Set<number>();
  readonly #lives = new Map<number, number>();
  readonly #records = new Map<number, RelationRecord & { readonly served: boolean }>();
  readonly #listeners = new Set<() => void>();
  #published: { readonly generation: number; readonly intentVersion: number } | null = null;
  #good: number | null = null;
  #refused: FleetStatus['generation']['refused'] = null;
  #unavailable: string | null = null;

  constructor({ units = 3, held = false }: { readonly units?: number; readonly held?: boolean } = {}) {
    this.#seats = Array.from({ length: units }, () => ({ applied: null, message: '' }));
    this.isHeld = held;
  }

  /** The fleet as one of its units sees it. */
  seenFrom(number: number): Fleet {
    return {
      status: () => this.status(number),
      onStatus: (changed) => {
        const listener = () => changed(this.status(number));
        this.#listeners.add(listener);
        return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
      },
      ready: () =>
        this.#seats[number]?.applied === null
          ? { ready: false, reason: 'no generation has been verified here yet' }
          : { ready: true, reason: '' },
      options: () =>
        this.isRead
          ? {
              kind: 'told',
              value: { version: this.intent?.version ?? 0, options: optionsView(this.intent?.options ?? {}) },
            }
          : { kind: 'notYet', reason: 'the backplane has not been read yet: try again in a moment' },
      change: async (change, about) => this.#change(change, about),
      compare: async (change) => this.#compare(change),
      credentials: (client) => this.#credentials(client),
      trace: () => [
        {
          seq: 1,
          at: '2026-11-24T10:00:00.000Z',
          actor: 'config',
          message: 'observed',
          tells: ['workload:generationTold'],
          effects: ['publish'],
        },
      ],
      pools: async () => [
        {
          instance: 1,
          database: 'orders',
          user: 'u',
          mode: 'transaction',
          clients: { active: 3, waiting: 1 },
          servers: { active: 2, idle: 4, other: 1 },
          waitMs: 1_500,
        },
      ],
      clients: async () => [
        { instance: 1, pid: 101, user: 'u', database: 'orders', address: '127.0.0.1', port: 5000, state: 'active' },
      ],
    };
  }

  get watchers(): number {
    return this.#listeners.size;
  }

  /** The next change is answered so. */
  failNextChange(reason: string): void {
    this.#unavailable = reason;
  }

  /** Somebody else changes the intent. */
  async changeBehind(change: Change, author: string): Promise<void> {
    await this.#change(change, { author, reason: '', expected: null });
  }

  publish(): void {
    this.#published = {
      generation: (this.#published?.generation ?? 0) + 1,
      intentVersion: this.intent?.version ?? 0,
    };
    this.changed();
  }

  /** These units verify what is published; the leader says when it was the last one. */
  verify(...numbers: readonly number[]): void {
    const generation = this.#published?.generation ?? null;
    for (const number of numbers) this.#seats[number] = { applied: generation, message: '' };
    if (this.#seats.every(({ applied }) => applied === generation)) this.#good = generation;
    this.changed();
  }

  /** From now on these versions of PgBouncer, an instance each. */
  runs(number: number, ...versions: readonly string[]): void {
    this.#versions.set(number, versions);
    this.changed();
  }

  say(number: number, message: string, on = 'test'): void {
    this.#seats[number] = { applied: this.#seats[number]?.applied ?? null, message, on };
    this.changed();
  }

  refuse(reason: string): void {
    this.#refused = { intentVersion: this.intent?.version ?? 0, reason };
    this.changed();
  }

  serve(): void {
    for (const [name, { id, database, backend }] of Object.entries(this.intent?.clients ?? {}))
      this.#records.set(id, {
        ...recordOf({ id, name, database, backend, account: accountOf(`pgbouncer_${name}_${id}`) }),
        served: true,
      });
    this.changed();
  }

  /** PostgreSQL confirms that what is dying is gone. */
  bury(): void {
    for (const id of this.#records.keys()) if (!this.#aliveIds().has(id)) this.#records.delete(id);
    this.changed();
  }

  /** Tells everybody who listens, whether or not anything is different. */
  changed(): void {
    for (const listener of this.#listeners) listener();
  }

  status(answeredBy: number): FleetStatus {
    const { intent } = this;
    return {
      schemaVersion: 1,
      application: 'pgbouncer',
      answeredBy: `pgbouncer/${answeredBy}`,
      backplane: this.backplane,
      leader: this.leader === null ? null : { unit: `pgbouncer/${this.leader}`, epoch: 3 },
      intent:
        intent === null
          ? null
          : { version: intent.version, author: intent.author, at: new Date(intent.at).toISOString() },
      generation: {
        published: this.#published?.generation ?? null,
        good: this.#good,
        intentVersion: this.#published?.intentVersion ?? null,
        refused: this.#refused,
      },
      units: this.#seats.flatMap((seat, number) => (this.#gone.has(number) ? [] : [this.#unitStatus(seat, number)])),
      budgets: [
        {
          of: 'database',
          name: 'orders',
          total: 20 * this.#seats.length,
          given: 20 * this.#seats.length,
          used: 7 * this.#seats.length,
          held: 20 * this.#seats.length,
        },
      ],
      relations: this.#relations(),
    };
  }

  #unitStatus({ applied, message, on = 'test', presence = 'live' }: Seat, number: number): UnitStatus {
    const versions = this.#versions.get(number) ?? ['1.26.0', '1.26.0'];
    return {
      unit: `pgbouncer/${number}`,
      number,
      address: `127.0.0.${11 + number}:6432`,
      leader: this.leader === number,
      pid: 4000 + number,
      version: '0.1.0',
      status: presence === 'live' ? (message === '' ? 'active' : 'waiting') : presence === 'down' ? 'down' : 'unknown',
      message,
      generation: { applied, refused: null },
      instances: versions.map((version, index) => ({
        id: index + 1,
        pid: 100 * (number + 1) + index + 1,
        state: 'serving',
        version,
      })),
      waits: message === '' ? [] : [{ id: 'test', kind: 'waiting', message, since: '2026-11-24T10:00:00.000Z', on }],
      lastSeenMs: 100,
      remarks: [],
      leaving: this.#departs(number) && !this.#left.has(number),
      budget: [{ of: 'database', name: 'orders', given: 20, used: 7, held: 20 }],
      weaknesses: [],
    };
  }

  #relations(): readonly RelationStatus[] {
    const backends = Object.entries(this.intent?.backends ?? {}).map(
      ([name, { id }]): RelationStatus => ({
        id,
        name,
        endpoint: 'backend-database',
        database: null,
        life: 'alive',
        state: 'active',
        message: '',
        servers: null,
      }),
    );
    const clients = Object.entries(this.intent?.clients ?? {}).map(([name, { id, database }]): RelationStatus => {
      const served = this.#records.get(id)?.served === true;
      const word = served
        ? ({ state: 'active', message: `database ${database}` } as const)
        : ({ state: 'waiting', message: 'its login is being made' } as const);
      return { id, name, endpoint: 'database', database, life: 'alive', ...word, servers: null };
    });
    const dying = [...this.#records.values()]
      .filter(({ id }) => !this.#aliveIds().has(id))
      .map(
        ({ id, name, database }): RelationStatus => ({
          id,
          name,
          endpoint: 'database',
          database,
          life: 'dying',
          state: 'waiting',
          message: 'its login is being removed',
          servers: null,
        }),
      );
    return [...backends, ...clients, ...dying];
  }

  #aliveIds(): ReadonlySet<number> {
    return new Set(Object.values(this.intent?.clients ?? {}).map(({ id }) => id));
  }

  async #change(
    change: Change,
    {
      author,
      reason,
      expected,
    }: { readonly author: string; readonly reason: string; readonly expected: number | null },
  ): Promise<ChangeOutcome> {
    this.asked.push({ change, author, expected });
    if (this.#unavailable !== null) {
      const unavailable = this.#unavailable;
      this.#unavailable = null;
      return { kind: 'unavailable', reason: unavailable };
    }
    const version = this.intent?.version ?? 0;
    if (expected !== null && expected !== version) return this.#moved(expected);
    const result = changeIntent(
      this.intent,
      change,
      { application: 'pgbouncer', author, reason, wall: Date.now() as WallMs },
      [...this.#records.values()],
      this.#roster(),
    );
    if (result.kind === 'unchanged') return { kind: 'unchanged', version };
    if (result.kind !== 'changed') return result;
    this.#earlier.push(this.intent);
    this.intent = result.intent;
    this.#refused = null;
    this.changed();
    if (!this.isHeld) setImmediate(() => this.settle());
    return { kind: 'accepted', version: result.intent.version };
  }

  #roster(): readonly UnitRecord[] {
    return this.#seats.flatMap(({ presence = 'live' }, number) =>
      this.#gone.has(number)
        ? []
        : [unitRecordOf(number, { presence, nonce: nonce(`n${number}-${this.#lives.get(number) ?? 0}`) })],
    );
  }

  #departs(number: number): boolean {
    return this.#roster().some((record) => record.unit === unit(number) && departureOf(this.intent, record) !== null);
  }

  /** This unit is seen so from now on. */
  place(number: number, presence: UnitRecord['presence']): void {
    this.#seats[number] = { applied: null, message: '', ...this.#seats[number], presence };
    this.changed();
  }

  /** A new process of this unit has taken the place of the one that was asked to leave. */
  restart(number: number): void {
    this.#lives.set(number, (this.#lives.get(number) ?? 0) + 1);
    this.changed();
  }

  /** This unit has left, and says so before its process ends. */
  farewell(number: number): void {
    this.#left.add(number);
    this.changed();
  }

  /** Units that were asked to leave are off the roster. */
  depart(): void {
    for (const number of this.#seats.keys()) if (this.#departs(number)) this.#gone.add(number);
    this.changed();
  }

  #moved(expected: number): Moved {
    const lookedAt = this.#earlier.find((intent) => (intent?.version ?? 0) === expected);
    return {
      kind: 'moved',
      version: this.intent?.version ?? 0,
      by: this.intent?.author ?? '',
      at: this.intent?.at ?? (0 as WallMs),
      since: lookedAt === undefined ? null : differenceOf(lookedAt, this.intent),
    };
  }

  async #compare(change: Change): Promise<ChangeOutcome | Compared> {
    const about = { application: 'pgbouncer', author: '', reason: '', wall: 0 as WallMs };
    const result = changeIntent(this.intent, change, about, [...this.#records.values()], this.#roster());
    if (result.kind !== 'changed' && result.kind !== 'unchanged') return result;
    const after = result.kind === 'changed' ? result.intent : this.intent;
    return {
      kind: 'compared',
      version: this.intent?.version ?? 0,
      difference: differenceOf(this.intent, after),
      kept: change.type === 'applyFleet' ? notNamed(after, change) : [],
    };
  }

  /** Everything that a fleet does by itself. */
  settle(): void {
    this.depart();
    this.publish();
    this.verify(...this.#seats.keys());
    this.serve();
    this.bury();
  }

  #credentials(client: string): CredentialsAnswer {
    const { backends: _, clients } = this.intent ?? emptyIntent;
    const relation = Object.hasOwn(clients, client) ? clients[client] : undefined;
    if (relation === undefined) return { kind: 'unknownClient', clients: Object.keys(clients) };
    const record = this.#records.get(relation.id);
    if (record === undefined) return { kind: 'notYet', reason: `client "${client}" has no credentials yet` };
    const { account, database } = record;
    const endpoints = this.#seats.map((_seat, number) => `127.0.0.${11 + number}:6432`);
    return {
      kind: 'told',
      value: {
        client,
        database,
        username: account.username,
        password: account.password.reveal(),
        endpoints,
        readOnlyEndpoints: this.readable ? endpoints : [],
        tlsAuthorities: null,
        readOnlyDatabase: this.readable ? `${database}_readonly` : null,
      },
    };
  }
}

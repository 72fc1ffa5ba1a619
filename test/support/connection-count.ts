import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import type { FleetUnderTest } from './fleet-under-test.ts';

export interface Sample {
  readonly at: number;
  readonly pooled: number;
  /** What the budget was. */
  readonly limit: number;
}

/**
 * PostgreSQL's own count of pooled connections to the first database, ten times a second. Pooled is every session there but those of
 * the administrator's login, with which coordinators work: PgBouncers log in as the client, for nobody else has a login there.
 */
export class ConnectionCount implements AsyncDisposable {
  readonly #client: Client;
  readonly #database: string;
  readonly #samples: Sample[] = [];
  readonly #strangers = new Set<string>();
  #limit: number;
  #isOver = false;
  readonly #counting: Promise<void>;

  private constructor(client: Client, { first }: FleetUnderTest, administrator: string, limit: number) {
    this.#client = client;
    this.#database = first.database;
    this.#limit = limit;
    this.#counting = this.#count(first.username, administrator);
  }

  static async open(fleet: FleetUnderTest, limit: number): Promise<ConnectionCount> {
    const { host, port, superuser } = fleet.postgres;
    const client = new Client({
      host,
      port,
      user: superuser.username,
      password: superuser.password.reveal(),
      database: 'postgres',
    });
    await client.connect();
    return new ConnectionCount(client, fleet, 'troupe_admin', limit);
  }

  get samples(): readonly Sample[] {
    return this.#samples;
  }

  /** Sessions that are neither of the client nor of the administrator. */
  get strangers(): readonly string[] {
    return [...this.#strangers];
  }

  /** Samples that show more than the budget of their time. */
  get above(): readonly Sample[] {
    return this.#samples.filter(({ pooled, limit }) => pooled > limit);
  }

  /** From now on the budget is this. */
  limit(connections: number): void {
    this.#limit = connections;
  }

  /**
   * From the first sample on that shows no more than this, which must come within the time: PostgreSQL counts a session until its
   * process has ended, a moment after PgBouncer hung up.
   */
  async limitOnceWithin(connections: number, withinMs = 5_000): Promise<void> {
    const since = performance.now();
    while (!this.#samples.some(({ at, pooled }) => at > since && pooled <= connections)) {
      if (performance.now() - since > withinMs) throw new Error(`still more than ${connections} after ${withinMs} ms`);
      await delay(10);
    }
    this.limit(connections);
  }

  /** The least that ten samples in a row show, once there are ten in a row with so many; else the most that was seen last. */
  async least(connections: number, withinMs = 10_000): Promise<number> {
    const since = performance.now();
    for (;;) {
      const last = this.#samples.filter(({ at }) => at > since).slice(-10);
      const least = Math.min(...last.map(({ pooled }) => pooled));
      if (last.length === 10 && least >= connections) return least;
      if (performance.now() - since > withinMs) return Math.max(...last.map(({ pooled }) => pooled));
      await delay(100);
    }
  }

  async #count(username: string, administrator: string): Promise<void> {
    for (let next = performance.now(); !this.#isOver; next += 100) {
      const limit = this.#limit;
      const { rows } = await this.#client.query<{ usename: string; sessions: number }>(
        'select usename, count(*)::int as sessions from pg_stat_activity where datname = $1 and usename <> $2 group by usename',
        [this.#database, administrator],
      );
      for (const { usename } of rows) if (usename !== username) this.#strangers.add(usename);
      const pooled = rows.reduce((sum, { sessions }) => sum + sessions, 0);
      // Whichever is larger, when the budget was changed while PostgreSQL counted.
      this.#samples.push({ at: performance.now(), pooled, limit: Math.max(limit, this.#limit) });
      await delay(Math.max(0, next + 100 - performance.now()));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#counting.catch(() => {}); // What broke it off has failed the test already: it saw no samples any more.
    await this.#client.end();
  }
}

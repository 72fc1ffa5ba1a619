import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';

/** A connection that broke: whose, the address of the unit it went through, and when (ms, wall clock). */
export interface Break {
  readonly writer: number;
  readonly through: string;
  readonly at: number;
  readonly reason: string;
}

export interface Account {
  readonly acknowledged: number;
  /** Acknowledged, and not there. */
  readonly missing: readonly string[];
  /** There more than once. */
  readonly doubled: readonly string[];
  readonly breaks: readonly Break[];
  /** Connections that could not be made, by what was said. */
  readonly refused: readonly string[];
}

/** What they log in with, and where: on this machine, or in the directory of a unix socket. */
export interface Written {
  login(): Promise<Login>;
  readonly port: number;
  readonly host?: string;
}
interface Login {
  readonly username: string;
  readonly password: string;
  readonly database: string;
}
interface Address {
  readonly host: string;
  readonly port: number;
}

/** Clients that stay connected and write, and keep account of every row that was acknowledged to them. */
export class Accountant implements AsyncDisposable {
  readonly #login: Login;
  readonly #at: Address;
  readonly #acknowledged: string[] = [];
  readonly #breaks: Break[] = [];
  readonly #refused: string[] = [];
  readonly #over = new AbortController();
  readonly #writers: readonly Promise<void>[];
  #through = new Map<number, string>();

  private constructor(login: Login, at: Address, writers: number) {
    this.#login = login;
    this.#at = at;
    this.#writers = Array.from({ length: writers }, (_, writer) => this.#write(writer));
  }

  static async start(where: Written, writers = 6): Promise<Accountant> {
    const login = await where.login();
    const at = { host: where.host ?? '127.0.0.1', port: where.port };
    await using admin = await connected(login, at);
    await admin.query('create table if not exists account (id text not null)');
    await admin.query('truncate account');
    const accountant = new Accountant(login, at, writers);
    await accountant.untilWritten(writers);
    return accountant;
  }

  /** Addresses of the units that its connections go through now. */
  get through(): ReadonlySet<string> {
    return new Set(this.#through.values());
  }

  /** Resolves when so many more rows were acknowledged. */
  async untilWritten(more: number, withinMs = 30_000): Promise<void> {
    const [wanted, deadline] = [this.#acknowledged.length + more, performance.now() + withinMs];
    while (this.#acknowledged.length < wanted) {
      if (performance.now() > deadline) throw new Error(`clients write no more: ${this.#refused.at(-1) ?? 'silence'}`);
      await delay(20);
    }
  }

  /** Ends the writers, and holds what they were told against what is there. */
  async close(): Promise<Account> {
    this.#over.abort();
    await Promise.all(this.#writers);
    await using client = await connected(this.#login, this.#at);
    const { rows } = await client.query('select id, count(*)::int as times from account group by id');
    const times = new Map(rows.map(({ id, times }) => [String(id), Number(times)]));
    return {
      acknowledged: this.#acknowledged.length,
      missing: this.#acknowledged.filter((id) => !times.has(id)),
      doubled: [...times].flatMap(([id, count]) => (count > 1 ? [id] : [])),
      breaks: this.#breaks,
      refused: this.#refused,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await Promise.all(this.#writers);
  }

  async #write(writer: number): Promise<void> {
    for (let round = 0; !this.#over.signal.aborted; round += 1) {
      await using client = await connected(this.#login, this.#at).catch((cause: unknown) => {
        this.#refused.push(messageOf(cause));
        return null;
      });
      if (client === null) {
        await delay(200);
        continue;
      }
      try {
        await this.#writeOver(client, `${writer}-${round}`, writer);
      } catch (cause) {
        const through = this.#through.get(writer) ?? 'unknown';
        this.#breaks.push({ writer, through, at: Date.now(), reason: messageOf(cause) });
      } finally {
        this.#through.delete(writer);
      }
    }
  }

  async #writeOver(client: Client, name: string, writer: number): Promise<void> {
    const { rows } = await client.query('select host(inet_client_addr()) as through');
    this.#through.set(writer, String(rows[0]?.through));
    for (let row = 0; !this.#over.signal.aborted; row += 1) {
      const id = `${name}-${row}`;
      await client.query('insert into account values ($1)', [id]);
      this.#acknowledged.push(id);
      await delay(20);
    }
  }
}

const connected = async ({ username, password, database }: Login, { host, port }: Address) => {
  const client = new Client({
    host,
    port,
    user: username,
    password,
    database,
    connectionTimeoutMillis: 10_000,
    // PgBouncer opens one connection of a pool at a time. One that was begun in a network that is gone is given up after 15 s, and
    // the next is tried 15 s later: who comes meanwhile waits, and is served.
    query_timeout: 40_000,
  });
  client.on('error', () => {}); // The query under way hears it too.
  await client.connect();
  return Object.assign(client, {
    [Symbol.asyncDispose]: (): Promise<void> => client.end().catch(() => {}),
  });
};

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

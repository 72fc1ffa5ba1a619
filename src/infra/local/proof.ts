/** Proves every PgBouncer instance of a unit as one of its clients, over TCP. */
import { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import type { ClientConnection, Credentials } from '../../actors/model/status.ts';

export interface UnderProof {
  readonly unit: string;
  readonly host: string;
  readonly port: number;
  /** As the unit reports them when the proof begins. */
  readonly instances: readonly { readonly id: number; readonly pid: number | null }[];
  /** Who is connected, as the console of each instance of the unit tells it now. */
  readonly connections: (signal: AbortSignal) => Promise<readonly ClientConnection[]>;
}

export interface InstanceProof {
  readonly id: number;
  readonly pid: number | null;
  readonly currentUser: string | null;
  readonly sessionUser: string | null;
  readonly database: string | null;
  readonly backendPid: number | null;
  readonly ok: boolean;
  readonly error?: string;
}

export interface UnitProof {
  readonly unit: string;
  readonly instances: readonly InstanceProof[];
}

/**
 * Two passes: the first finds and asks each instance of all units and holds the connection, the second asks again over what is
 * held. So an instance that goes away at any moment of the whole proof shows in its row.
 */
export const proveUnits = async (
  units: readonly UnderProof[],
  credentials: Credentials,
  { signal, patienceMs = 10_000 }: { readonly signal: AbortSignal; readonly patienceMs?: number },
): Promise<readonly UnitProof[]> => {
  const deadline = performance.now() + patienceMs;
  const all = await Promise.all(units.map((unit) => visitAll(unit, credentials, deadline, signal)));
  try {
    return await Promise.all(all.map((visited) => proofOf(visited, credentials)));
  } finally {
    await Promise.all(all.flatMap(({ visits }) => [...visits.values()].map(({ visitor }) => visitor.leave())));
  }
};

/** A connection of ours that is held, and the process that it came to, as its console says. */
interface Visit {
  readonly visitor: Visitor;
  readonly pid: number | null;
  readonly answer: Answer | Error;
}

interface Visited {
  readonly unit: UnderProof;
  readonly visits: ReadonlyMap<number, Visit>;
  /** Why an instance was not met, as far as it can be told. */
  readonly trouble: string;
}

const atOnce = 8;

/** The kernel chooses an instance for each connection: so we come often enough to meet them all. */
const visitAll = async (
  unit: UnderProof,
  credentials: Credentials,
  deadline: number,
  signal: AbortSignal,
): Promise<Visited> => {
  const visits = new Map<number, Visit>();
  let trouble = 'no connection came to it';
  while (visits.size < unit.instances.length && performance.now() < deadline && !signal.aborted) {
    const arrivals = await Promise.allSettled(Array.from({ length: atOnce }, () => Visitor.come(unit, credentials)));
    const visitors = arrivals.flatMap((arrival) => (arrival.status === 'fulfilled' ? [arrival.value] : []));
    const connections = await settled(unit.connections(signal));
    const failed =
      connections instanceof Error ? connections : arrivals.map(reasonOf).find((reason) => reason !== null);
    await Promise.all(
      visitors.map((visitor) => receive(visitor, connections instanceof Error ? [] : connections, visits)),
    );
    if (failed === undefined) continue;
    trouble = failed.message;
    await delay(100);
  }
  return { unit, visits, trouble };
};

/** Holds the first who meets an instance; the others leave. */
const receive = async (
  visitor: Visitor,
  connections: readonly ClientConnection[],
  visits: Map<number, Visit>,
): Promise<void> => {
  const seen = connections.find((connection) => visitor.is(connection));
  if (seen === undefined || visits.has(seen.instance)) return visitor.leave();
  visits.set(seen.instance, { visitor, pid: seen.pid, answer: new Error('it was not asked') });
  visits.set(seen.instance, { visitor, pid: seen.pid, answer: await settled(visitor.ask()) });
};

const proofOf = async ({ unit, visits, trouble }: Visited, credentials: Credentials): Promise<UnitProof> => ({
  unit: unit.unit,
  instances: await Promise.all(
    unit.instances.map(async ({ id, pid }) => {
      const visit = visits.get(id);
      if (visit === undefined) return rowOf(id, pid, null, trouble);
      const again = await settled(visit.visitor.ask());
      const answer = visit.answer instanceof Error ? null : visit.answer;
      return rowOf(id, pid, answer, faultOf(pid, visit, again, credentials));
    }),
  ),
});

const faultOf = (pid: number | null, visit: Visit, again: Answer | Error, credentials: Credentials): string | null => {
  const { username, database } = credentials;
  if (visit.answer instanceof Error) return `it did not answer: ${visit.answer.message}`;
  if (again instanceof Error) return `its connection did not last until the end of the proof: ${again.message}`;
  if (visit.pid !== pid) return `it was replaced while the proof ran: process ${pid} became ${visit.pid}`;
  if (again.sessionUser !== username) return `it logs in as "${again.sessionUser}" instead of "${username}"`;
  if (again.database !== database) return `it leads to database "${again.database}" instead of "${database}"`;
  return null;
};

const rowOf = (id: number, pid: number | null, answer: Answer | null, error: string | null): InstanceProof => ({
  id,
  pid,
  currentUser: answer?.currentUser ?? null,
  sessionUser: answer?.sessionUser ?? null,
  database: answer?.database ?? null,
  backendPid: answer?.backendPid ?? null,
  ok: error === null,
  ...(error === null ? {} : { error }),
});

interface Answer {
  readonly currentUser: string;
  readonly sessionUser: string;
  readonly database: string;
  readonly backendPid: number;
}

const question = `select current_user as "currentUser", session_user as "sessionUser",
  current_database() as "database", pg_backend_pid() as "backendPid"`;

/** One connection whose own address we know, so that it can be found in a list of clients. */
class Visitor {
  readonly #socket: Socket;
  readonly #client: Client;

  private constructor(socket: Socket, client: Client) {
    this.#socket = socket;
    this.#client = client;
  }

  static async come({ host, port }: UnderProof, { username, password, database }: Credentials): Promise<Visitor> {
    const socket = new Socket();
    const client = new Client({
      stream: () => socket,
      host,
      port,
      user: username,
      password,
      database,
      connectionTimeoutMillis: 5_000,
      query_timeout: 5_000,
    });
    client.on('error', () => {}); // The next question fails by it.
    try {
      await client.connect();
    } catch (cause) {
      socket.destroy();
      throw cause;
    }
    return new Visitor(socket, client);
  }

  is({ address, port }: ClientConnection): boolean {
    return this.#socket.localPort === port && this.#socket.localAddress === address;
  }

  async ask(): Promise<Answer> {
    const { rows } = await this.#client.query<Answer>(question);
    const [answer] = rows;
    if (answer === undefined) throw new Error('it answered without a row');
    return answer;
  }

  async leave(): Promise<void> {
    await Promise.race([this.#client.end().catch(() => {}), delay(500, undefined, { ref: false })]);
    this.#socket.destroy();
  }
}

const settled = async <T>(work: Promise<T>): Promise<T | Error> => {
  try {
    return await work;
  } catch (cause) {
    return cause instanceof Error ? cause : new Error(String(cause));
  }
};

const reasonOf = (arrival: PromiseSettledResult<Visitor>): Error | null => {
  if (arrival.status === 'fulfilled') return null;
  return arrival.reason instanceof Error ? arrival.reason : new Error(String(arrival.reason));
};

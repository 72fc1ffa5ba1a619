import { request } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { createEventReader, statusEvent } from '../../src/api/events.ts';
import { pathOf } from '../../src/api/routes.ts';
import { fleetStatusSchema } from '../../src/api/status.ts';
import type { Account, Break } from './accountant.ts';
import type { ComposeFleet, Container, Status } from './compose-fleet.ts';
import { docker } from './docker.ts';

/** One life of a coordinator: what it said, from the first word to the end of its answers. */
interface Life {
  readonly container: string;
  readonly address: string;
  readonly said: { readonly at: number; readonly status: Status }[];
  /** Null while it speaks. */
  endedAt: number | null;
}

/** What each unit says of the fleet and of itself, as it streams from its container (times: ms, wall clock). */
export class UnitWords implements AsyncDisposable {
  readonly #fleet: ComposeFleet;
  readonly #lives: Life[] = [];
  readonly #over = new AbortController();
  readonly #listening: Promise<void>[] = [];

  private constructor(fleet: ComposeFleet) {
    this.#fleet = fleet;
  }

  static async of(fleet: ComposeFleet): Promise<UnitWords> {
    const words = new UnitWords(fleet);
    await words.follow();
    return words;
  }

  /** Listens to those that run and are not listened to yet; resolves once each has said something. */
  async follow(): Promise<void> {
    const heard = new Set(this.#lives.filter(({ endedAt }) => endedAt === null).map(({ container }) => container));
    const more = (await this.#fleet.containers('unit')).filter(({ id }) => !heard.has(id));
    await Promise.all(more.map((container) => this.#listen(container)));
  }

  /** Resolves once each unit that speaks has said, at any time, something for which this holds. */
  async until(what: string, holds: (status: Status) => boolean, withinMs = 60_000): Promise<void> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      const silent = this.#lives.filter(
        ({ endedAt, said }) => endedAt === null && !said.some(({ status }) => holds(status)),
      );
      if (silent.length === 0) return;
      if (performance.now() > deadline)
        throw new Error(`not within ${withinMs} ms: ${what}: ${JSON.stringify(silent.map(({ said }) => said.at(-1)))}`);
      await delay(100);
    }
  }

  /** Everything that any unit said. */
  get statuses(): readonly Status[] {
    return this.#lives.flatMap(({ said }) => said.map(({ status }) => status));
  }

  /** Names that two containers had at the same time. */
  get namesOfTwo(): readonly string[] {
    return this.#lives.flatMap((one, index) =>
      this.#lives
        .slice(index + 1)
        .filter((other) => other.container !== one.container && isAtOnce(one, other))
        .flatMap((other) => namesOf(one).filter((name) => namesOf(other).includes(name))),
    );
  }

  /** Breaks that no client has to expect: through a unit that had not said that it stops, or one more for the same client. */
  unexpected({ breaks }: Account): readonly Break[] {
    return breaks.filter((one, index) => {
      const life = this.#lifeAt(one);
      if (life === undefined || !life.said.some(({ at, status }) => at <= one.at && isStopping(status))) return true;
      return breaks.slice(0, index).some((other) => other.writer === one.writer && this.#lifeAt(other) === life);
    });
  }

  /** Whose address it was then: the engine may give it to another later. */
  #lifeAt({ through, at }: Break): Life | undefined {
    return this.#lives.findLast(({ address, said: [first] }) => address === through && (first?.at ?? at) <= at);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await Promise.all(this.#listening);
  }

  async #listen(container: Container): Promise<void> {
    const [address, ca, tokens] = await Promise.all([
      this.#fleet.addressOf(container),
      docker(['exec', container.id, 'cat', '/keys/ca.pem']),
      docker(['exec', container.id, 'cat', '/keys/tokens']),
    ]);
    const [, token = ''] = /^read (\S+)$/m.exec(tokens) ?? [];
    const life: Life = { container: container.id, address, said: [], endedAt: null };
    const first = Promise.withResolvers<void>();
    const hear = async (): Promise<void> => {
      for await (const status of statuses({ address, ca, token }, this.#over.signal)) {
        life.said.push({ at: Date.now(), status });
        first.resolve();
      }
    };
    this.#lives.push(life);
    const listening = hear().finally(() => {
      life.endedAt = Date.now();
    });
    this.#listening.push(listening.then(first.resolve, first.reject));
    await first.promise;
  }
}

/** Until the connection ends or is not wanted any more. */
async function* statuses(
  { address, ca, token }: { readonly address: string; readonly ca: string; readonly token: string },
  signal: AbortSignal,
): AsyncGenerator<Status> {
  const { promise, resolve, reject } = Promise.withResolvers<AsyncIterable<unknown>>();
  const where = { host: address, port: 8443, servername: 'unit', path: pathOf('events'), ca, agent: false };
  const asked = request({ ...where, signal, headers: { authorization: `Bearer ${token}` } });
  asked.on('response', (response) => resolve(response.setEncoding('utf8'))).on('error', reject);
  asked.end();
  const read = createEventReader();
  try {
    for await (const chunk of await promise)
      for (const { event, data } of read(String(chunk)))
        if (event === statusEvent) yield fleetStatusSchema.parse(JSON.parse(data));
  } catch (cause) {
    if (!isEndOfConnection(cause)) throw cause;
  }
}

const isEndOfConnection = (cause: unknown): boolean =>
  cause instanceof Error && (cause.name === 'AbortError' || ('code' in cause && cause.code === 'ECONNRESET'));

const isStopping = ({ units, answeredBy }: Status): boolean =>
  units.some(({ unit, message }) => unit === answeredBy && message.startsWith('stopping'));

const namesOf = ({ said }: Life): readonly string[] => [...new Set(said.map(({ status }) => status.answeredBy))];

const isAtOnce = (one: Life, other: Life): boolean =>
  (one.said[0]?.at ?? 0) < (other.endedAt ?? Number.POSITIVE_INFINITY) &&
  (other.said[0]?.at ?? 0) < (one.endedAt ?? Number.POSITIVE_INFINITY);

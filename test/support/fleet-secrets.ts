/** What a fleet must keep to itself, and every place where it could be seen. */
import { readdirSync, readFileSync } from 'node:fs';
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { operations, pathOf } from '../../src/api/routes.ts';
import { ask, begin } from '../../src/infra/cli/api-request.ts';
import { socketAt } from '../../src/infra/cli/place.ts';
import { type FleetUnderTest, unitCount } from './fleet-under-test.ts';

/** A name for people, and what nobody may see. */
export type Markers = Readonly<Record<string, string | Buffer>>;

/** Which markers are in a text, in whatever way they are written there. */
export const markersIn = (text: string | Buffer, markers: Markers): readonly string[] =>
  Object.entries(markers).flatMap(([name, marker]) =>
    writingsOf(marker).some((one) => text.includes(one)) ? [name] : [],
  );

const writingsOf = (marker: string | Buffer): readonly string[] => {
  const bytes = Buffer.from(marker);
  const text = typeof marker === 'string' ? marker : null;
  const base64 = [0, 1, 2].map((before) => {
    // The same bytes look different by where in a longer text they stand; the ends belong to their neighbours.
    const encoded = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64');
    return encoded.slice(before === 0 ? 0 : 4, -4);
  });
  const base64url = base64.map((encoded) => encoded.replaceAll('+', '-').replaceAll('/', '_'));
  // A stretch without anything to escape survives every way of quoting, and quoting twice.
  const plain = text?.match(/[A-Za-z0-9]{20,}/g) ?? [];
  const written = text === null ? [] : [text, encodeURIComponent(text), ...plain];
  return [...written, bytes.toString('hex'), ...base64, ...base64url];
};

/** Everything that any unit answers to a GET but the credentials of a client, by what was asked. */
export const answersOf = async (fleet: FleetUnderTest): Promise<ReadonlyMap<string, string>> => {
  const answers = new Map<string, string>();
  for (const { unit, socket } of fleet.units) {
    for (const [operation, { method }] of operations) {
      if (method !== 'get' || operation === 'credentials' || operation === 'events') continue;
      const numbers = operation === 'unit' ? Array.from({ length: unitCount }, (_, number) => number) : [0];
      for (const number of numbers) {
        const path = pathOf(operation, { number });
        const asked = operation === 'unit' && unit.endsWith(`/${number}`) ? `${path}?trace` : path;
        const { status, text } = await ask(socketAt(socket), { method, path: asked }, AbortSignal.timeout(10_000));
        if (status !== 200 && !(operation === 'leader' && status === 503))
          throw new Error(`GET ${asked} of ${unit} answers ${status}: ${text}`);
        answers.set(`GET ${asked} of ${unit}`, text);
      }
    }
    const stream = await begin(
      socketAt(socket),
      { method: 'get', path: pathOf('events') },
      AbortSignal.timeout(10_000),
    );
    for await (const chunk of stream.setEncoding('utf8')) {
      answers.set(`events of ${unit}`, String(chunk));
      break;
    }
  }
  return answers;
};

/** Logs of everything that runs in the fleet. */
export const logsOf = async ({ place, redis, postgres }: FleetUnderTest): Promise<ReadonlyMap<string, string>> => {
  const names = await readdir(place.directory, { recursive: true });
  const logs = names.filter((name) => name.endsWith('.log'));
  const read = logs.map(async (name) => [name, await readFile(join(place.directory, name), 'utf8')] as const);
  return new Map([...(await Promise.all(read)), ['redis', await redis.log()], ['postgres', await postgres.log()]]);
};

/** All keys and values of the store. */
export const storedIn = async (redis: Redis): Promise<ReadonlyMap<string, string>> => {
  const stored = new Map<string, string>();
  for await (const keys of redis.scanStream()) {
    for (const key of keysOf(keys)) {
      const type = await redis.type(key);
      const read = readers[type];
      if (read === undefined) throw new Error(`key ${key} is a ${type}, which this test cannot read`);
      stored.set(key, JSON.stringify([key, await read(redis, key)]));
    }
  }
  return stored;
};

const readers: Readonly<Record<string, (redis: Redis, key: string) => Promise<unknown>>> = {
  string: (redis, key) => redis.get(key),
  hash: (redis, key) => redis.hgetall(key),
  list: (redis, key) => redis.lrange(key, 0, -1),
  set: (redis, key) => redis.smembers(key),
  zset: (redis, key) => redis.zrange(key, '0', '-1'),
  stream: (redis, key) => redis.xrange(key, '-', '+'),
  none: () => Promise.resolve(null), // It has expired meanwhile.
};

const keysOf = (keys: unknown): readonly string[] => (Array.isArray(keys) ? keys.map(String) : []);

export const redisOf = ({ redis: { host, port, password } }: FleetUnderTest): Redis =>
  new Redis({ host, port, password: password.reveal() });

/** Arguments and environments of all processes of this machine, again and again: some live for milliseconds only. */
export class ProcessSightings implements Disposable {
  readonly #seen = new Set<string>();
  readonly #timer: NodeJS.Timeout;

  constructor() {
    this.#look();
    this.#timer = setInterval(() => this.#look(), 30);
  }

  get all(): ReadonlySet<string> {
    return this.#seen;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      const texts = ['cmdline', 'environ'].map((file) => textOf(`/proc/${pid}/${file}`));
      this.#seen.add([pid, ...texts].join('\0'));
    }
  }
}

const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // It has ended meanwhile.
  }
};

/** Files and sockets below a directory that everybody can get at; and what of the markers others than the owner may read. */
export const exposedIn = async (directory: string, markers: Markers): Promise<readonly string[]> => {
  const found: string[] = [];
  const visit = async (path: string, isReachable: boolean): Promise<void> => {
    const stat = await lstat(path).catch(() => null); // Some come and go.
    if (stat === null || stat.isSymbolicLink()) return;
    const mode = `${path} ${(stat.mode & 0o777).toString(8)}`;
    if (stat.isDirectory()) {
      const names = await readdir(path).catch(() => []);
      for (const name of names) await visit(join(path, name), isReachable && (stat.mode & 0o001) !== 0);
      return;
    }
    if ((isReachable || stat.isFile()) && (stat.mode & 0o007) !== 0) found.push(`${mode}: for everybody`);
    if (!stat.isFile() || (stat.mode & 0o044) === 0) return;
    const markersHere = markersIn(await readFile(path).catch(() => ''), markers);
    if (markersHere.length > 0) found.push(`${mode}: holds ${markersHere.join(', ')}`);
  };
  await visit(directory, true);
  return found;
};

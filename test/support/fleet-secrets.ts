/** Every place where what a fleet must keep to itself could be seen, beside its processes. */
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { operations, pathOf } from '../../src/api/routes.ts';
import { ask, begin } from '../../src/infra/cli/api-request.ts';
import { socketAt } from '../../src/infra/cli/place.ts';
import { type FleetUnderTest, unitCount } from './fleet-under-test.ts';
import { type Markers, markersIn } from './sightings.ts';

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

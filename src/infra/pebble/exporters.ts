/**
 * What metrics are read from: `pgbouncer_exporter` of the Prometheus community, one for each instance, where the image has that
 * program. It logs in as the login by which the unit looks at itself, which may look and nothing else. It does so at the socket of its
 * instance: at an address, an instance that listens everywhere would answer as soon as the right one is gone. Command and environment
 * of a service stand in Pebble's plan for whoever may read it: the password lies in a file of its account. A service is named for the
 * port that its socket is named for, so that one that runs is one that is right.
 */
import { posix } from 'node:path';
import { listenPortOf } from '../../pgbouncer/ini.ts';
import type { OwnLogin } from '../instances/login.ts';
import type { Pebble } from './client.ts';
import { textOf } from './files.ts';
import { loginsKept } from './logins.ts';
import type { InstancePlace, Places } from './places.ts';
import { programAt } from './program.ts';
import { PebbleError } from './trouble.ts';

export interface Exporting {
  readonly pebble: Pebble;
  readonly places: Places;
  /** Path of `pgbouncer_exporter` in the container, or its name. */
  readonly exporter: string;
  /** Account of the container that they run as; null: that of Pebble. */
  readonly user: string | null;
  readonly instances: readonly InstancePlace[];
  /** Of the first instance; that of the second is the next one, and so on. */
  readonly firstPort: number;
}

export type Exported =
  /** Each instance that has begun to serve can be scraped, or will be in a moment. */
  | { readonly kind: 'exported' }
  /** Nothing is there yet whose metrics could be read. */
  | { readonly kind: 'early' }
  /** The image has no such program. */
  | { readonly kind: 'missing' }
  /** They were started, and do not run. */
  | { readonly kind: 'failing'; readonly services: readonly string[] };

const layerLabel = 'troupe-metrics';
const prefix = 'exporter_';

/** Rejects with PebbleError. */
export const exportMetrics = async (exporting: Exporting, signal: AbortSignal): Promise<Exported> => {
  const { pebble, places, instances } = exporting;
  const [services, [logins, passwords, ...inis]] = await Promise.all([
    pebble.services([], signal),
    pebble.readFiles([places.logins, places.passwords, ...instances.map(({ ini }) => ini)], signal),
  ]);
  const known = new Map(services.map(({ name, current }) => [name, current]));
  const probe = loginsKept(textOf(logins))?.probe;
  const wanted = instances.flatMap((place, index) => {
    const port = listenPortOf(textOf(inis[index]) ?? '');
    return port === null ? [] : [{ place, port, service: `${prefix}${place.id}_${port}` }];
  });
  if (probe === undefined || wanted.length === 0) return { kind: 'early' };
  const lacking = wanted.filter(({ service }) => !known.has(service));
  const program = lacking.length === 0 ? null : await programAt(pebble, exporting.exporter, signal);
  if (lacking.length > 0 && program === null) return { kind: 'missing' };
  await keepPasswords(exporting, probe, textOf(passwords), signal);
  await stopAll(
    pebble,
    runningOf(known).filter((name) => wanted.every(({ service }) => service !== name)),
    signal,
  );
  if (program !== null) {
    const made = lacking.map((one) => [one.service, serviceOf(exporting, program.path, one, probe)]);
    await pebble.addLayer(layerLabel, { services: Object.fromEntries(made) }, signal);
  }
  const started = wanted.map(({ service }) => service).filter((name) => (known.get(name) ?? 'inactive') === 'inactive');
  // Whether it goes on is seen by the next hook: this one does not wait for it.
  if (started.length > 0) await pebble.act('start', started, signal);
  const failing = wanted.map(({ service }) => service).filter((name) => isFailing(known.get(name)));
  return failing.length === 0 ? { kind: 'exported' } : { kind: 'failing', services: failing };
};

/** Ends them all. Rejects with PebbleError. */
export const stopExporters = async (pebble: Pebble, signal: AbortSignal): Promise<void> => {
  const services = await pebble.services([], signal);
  await stopAll(pebble, runningOf(new Map(services.map(({ name, current }) => [name, current]))), signal);
};

/** Of one instance: older ones stay connected to the console, and would keep an instance alive that only waits for its clients. */
export const stopExporterOf = async (pebble: Pebble, { id }: InstancePlace, signal: AbortSignal): Promise<void> => {
  const services = await pebble.services([], signal);
  const own = services.filter(({ name }) => name.startsWith(`${prefix}${id}_`));
  await stopAll(pebble, runningOf(new Map(own.map(({ name, current }) => [name, current]))), signal);
};

interface Wanted {
  readonly place: InstancePlace;
  /** At which the instance listens; its socket is named for it. */
  readonly port: number;
}

const serviceOf = (
  { user, places, firstPort }: Exporting,
  program: string,
  { place, port }: Wanted,
  { username }: OwnLogin,
) => ({
  override: 'replace',
  summary: `Metrics of PgBouncer, instance ${place.id}`,
  startup: 'disabled',
  command: [
    program,
    `--web.listen-address=:${firstPort + place.id - 1}`,
    `--pgBouncer.connectionString=postgres://${username}@/pgbouncer?host=${place.socketDir}&port=${port}&sslmode=disable`,
  ].join(' '),
  environment: { PGPASSFILE: places.passwords },
  'working-dir': posix.dirname(places.passwords),
  ...(user === null ? {} : { user }),
  'on-success': 'restart',
  'on-failure': 'restart',
});

/** As libpq has it: host, port, database, user, password. Our own words hold nothing that it reads otherwise. */
const keepPasswords = async (
  { pebble, places, user }: Exporting,
  { username, password }: OwnLogin,
  before: string | null,
  signal: AbortSignal,
): Promise<void> => {
  const content = `*:*:pgbouncer:${username}:${password.reveal()}\n`;
  if (content === before) return;
  const file = { path: places.passwords, content, permissions: '400', ...(user === null ? {} : { user }) };
  const [{ error } = {}] = await pebble.writeFiles([file], signal);
  if (error !== undefined && error !== null)
    throw new PebbleError(
      { kind: 'refused', status: 200, word: error.kind ?? null },
      `cannot write "${places.passwords}" in the workload container: ${error.message}`,
    );
};

const runningOf = (known: ReadonlyMap<string, string>): readonly string[] =>
  [...known].flatMap(([name, current]) => (name.startsWith(prefix) && current !== 'inactive' ? [name] : []));

const isFailing = (current: string | undefined): boolean => current === 'backoff' || current === 'error';

const stopAll = async (pebble: Pebble, names: readonly string[], signal: AbortSignal): Promise<void> => {
  if (names.length > 0) await pebble.ended(await pebble.act('stop', names, signal), stopMs, signal);
};
const stopMs = 3_000;

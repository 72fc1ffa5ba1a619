/**
 * Reads: beside each client database `<database>_readonly`, which leads to the standbys that are there. PgBouncer goes through a list
 * of hosts in turn, and they share one port: of standbys on different ports those serve that are most. A standby that does not answer
 * leaves the list with the next generation; how far one lags behind its primary is not looked at.
 *
 * Without a standby the entry is not there, so that clients are refused at once, unless the operator has chosen that reads go to the
 * primary then. In that case each database has a fixed part of its budget for them, whether or not it is needed: so the two entries
 * together stay within it at every moment.
 */
import type { BackendFacts, BackendServer } from '../model/backend.ts';
import { type DatabaseSpec, type FleetSpec, readOnlyNameOf } from '../model/fleet-spec.ts';

interface Choice {
  readonly facts: ReadonlyMap<string, BackendFacts>;
  /** What is published: while nobody knows the standbys, those it has stay. */
  readonly current: readonly DatabaseSpec[];
  readonly fallsBack: boolean;
  /** Fewest connections that a budget can be divided into. */
  readonly least: number;
}

/** Each database, followed by its reads. */
export const withReads = (databases: readonly DatabaseSpec[], choice: Choice): readonly DatabaseSpec[] => {
  const names = new Set(databases.map(({ name }) => name));
  return databases
    .flatMap((database) => {
      const name = readOnlyNameOf(database.name);
      return name === null || names.has(name) ? [database] : withItsReads(database, name, choice);
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
};

/** The reads of a database lead where it leads itself. */
export const readsPrimary = ({ databases }: Pick<FleetSpec, 'databases'>, database: string): boolean => {
  const own = databases.find(({ name }) => name === database);
  const reads = databases.find(({ name, readOnly }) => readOnly && name === readOnlyNameOf(database));
  return own !== undefined && reads !== undefined && reads.host === own.host && reads.port === own.port;
};

const withItsReads = (database: DatabaseSpec, name: string, choice: Choice): readonly DatabaseSpec[] => {
  const { facts, current, fallsBack, least } = choice;
  const seen = facts.get(database.backend);
  const earlier = current.find((entry) => entry.name === name && entry.backend === database.backend);
  const budget = fallsBack ? divided(database.maxConnections, least) : null;
  const [writing, reading] = budget ?? [database.maxConnections, database.maxConnections];
  const server =
    seen?.kind === 'ready'
      ? (rotationOf(seen.standbys) ?? (budget === null ? null : seen.primary))
      : (stays(earlier, database, budget !== null) ?? (budget === null ? null : database));
  const own = { ...database, maxConnections: writing };
  if (server === null) return [own];
  const { host, port } = server;
  return [own, { ...database, name, host, port, maxConnections: reading, readOnly: true }];
};

/** Not at the primary, when the operator no longer wants that. */
const stays = (
  earlier: DatabaseSpec | undefined,
  { host, port }: DatabaseSpec,
  fallsBack: boolean,
): DatabaseSpec | undefined => (fallsBack || earlier?.host !== host || earlier.port !== port ? earlier : undefined);

/** One in four for reads; null when there are not enough for both. */
const divided = (total: number, least: number): readonly [writing: number, reading: number] | null => {
  if (total === 0) return [0, 0];
  const reading = Math.max(Math.floor(total / 4), least);
  return total - reading < least ? null : [total - reading, reading];
};

const rotationOf = (standbys: readonly BackendServer[]): BackendServer | null => {
  const byPort = Map.groupBy(standbys, ({ port }) => port);
  const [most] = [...byPort].toSorted(([a, those], [b, others]) => others.length - those.length || a - b);
  if (most === undefined) return null;
  const [port, servers] = most;
  return { host: [...new Set(servers.map(({ host }) => host))].toSorted().join(','), port };
};

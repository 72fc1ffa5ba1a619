import { completeOptions } from '../../pgbouncer/catalogue.ts';
import type { BackendFacts } from '../model/backend.ts';
import { type Budget, budgetsIn, isSameBudget, sharesOf, smallestBudget, sum } from '../model/budget.ts';
import {
  type BackendSpec,
  type DatabaseSpec,
  type FleetSpec,
  type HoldingSpec,
  type Published,
  readOnlyNameOf,
  type SlotSpec,
  type UserSpec,
} from '../model/fleet-spec.ts';
import type { BudgetKey, UnitName } from '../model/ids.ts';
import type { Intent, Options } from '../model/intent.ts';
import type { UnitRecord } from '../model/snapshot.ts';
import type { ServedClient } from '../protocol.ts';
import { abandonedBy } from './abandoned.ts';
import { allot, type Claim, mostAllotted, mostHeld, overdue } from './allot.ts';
import { readsPrimary, withReads } from './reads.ts';
import { type Limit, type Seating, seatsFor } from './seats.ts';

export interface Inputs {
  readonly options: Options;
  /** What clients are to have; those that are served and no longer named here are left out. */
  readonly intended: Intent['clients'];
  /** Clients of which nobody can tell what they are to have: they keep what is published. */
  readonly held: ReadonlySet<string>;
  readonly clients: readonly ServedClient[];
  readonly facts: ReadonlyMap<string, BackendFacts>;
  readonly backends: readonly BackendSpec[];
  readonly units: readonly UnitRecord[];
  /** What is published: a backend that is away keeps the address it has there, and a unit what it was granted there. */
  readonly current: Published | null;
  /** Units that must give something up are waited for before others get it. */
  readonly isPatient: boolean;
}
export type Composed =
  | {
      readonly kind: 'composed';
      readonly spec: FleetSpec;
      /** Whom the budget has no room for; null when it has room for all. */
      readonly unseated: Extract<Seating, { kind: 'seated' }>['unseated'];
      /** Who holds more than its share of a budget, so that others wait for theirs. */
      readonly overdue: readonly Overdue[];
    }
  /** The intent cannot be had with this fleet. */
  | { readonly kind: 'refused'; readonly reason: string };

export interface Overdue extends BudgetKey {
  readonly unit: UnitName;
  readonly granted: number;
  readonly isLive: boolean;
  /** It has taken its smaller share, and its clients keep what is open above it. */
  readonly isCurrent: boolean;
  /** Null: it had no limit. */
  readonly held: number | null;
}

/** The fleet spec that follows from intent, roster, backend facts and secrets: same inputs, same spec. */
export const compose = (inputs: Inputs): Composed => {
  const options = completeOptions(inputs.options);
  const budget = Number(options['max_db_connections'] ?? 0);
  const seating = seatsFor(limitsIn(options, inputs.intended), inputs.units, inputs.current?.spec.slots ?? null);
  if (seating.kind === 'refused') return seating;
  const { slots, unseated } = seating;
  const databases = withReads(databasesOf(inputs, budget), {
    facts: inputs.facts,
    current: inputs.current?.spec.databases ?? [],
    fallsBack: options['read_only_fallback'] === 'primary',
    least: smallestBudget(slots),
  });
  const users = inputs.clients
    .flatMap((client) => [...userOf(client, inputs), ...lookupUserOf(client)])
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const allotted = allottedAll(inputs, slots, budget, { databases, users });
  const holdings = allotted.flatMap((one) => one.holdings);
  return {
    kind: 'composed',
    spec: {
      options,
      backends: inputs.backends,
      abandoned: abandonedBy(databases, inputs.facts, inputs.current?.spec ?? null),
      databases,
      users,
      slots,
      holdings,
    },
    unseated,
    overdue: allotted.flatMap((one) => one.overdue),
  };
};

const userOf = ({ id, name, account }: ServedClient, { intended, held, current }: Inputs): readonly UserSpec[] => {
  if (held.has(name)) return current?.spec.users.filter((user) => user.name === account.username) ?? [];
  const client = Object.hasOwn(intended, name) ? intended[name] : undefined;
  if (client?.id !== id) return [];
  const { poolMode, budget, timeouts } = client;
  return [{ name: account.username, secret: account.verifier, poolMode, maxConnections: budget ?? 0, timeouts }];
};

/** PgBouncer itself logs in with it, for which it needs the password. */
const lookupUserOf = ({ lookup }: ServedClient): readonly UserSpec[] =>
  lookup === undefined
    ? []
    : [{ name: lookup.username, secret: lookup.password, poolMode: null, maxConnections: 0, timeouts: {} }];

/** What an operator limits: databases, all alike, and single clients. */
export const limitsIn = (options: Options, clients: Intent['clients']): readonly Limit[] => {
  const connections = Number(completeOptions(options)['max_db_connections'] ?? 0);
  return [
    { words: `max_db_connections=${connections}`, connections },
    ...Object.entries(clients).map(([name, { budget }]) => ({
      words: `the budget ${budget} of client "${name}"`,
      connections: budget ?? 0,
    })),
  ];
};

const databasesOf = ({ clients, facts, current }: Inputs, maxConnections: number): readonly DatabaseSpec[] => {
  const entries = new Map<string, DatabaseSpec>();
  for (const { database, backend } of clients) {
    const seen = facts.get(backend);
    const earlier = current?.spec.databases.find((entry) => entry.name === database && entry.backend === backend);
    const server = seen?.kind === 'ready' ? seen.primary : earlier;
    // Nobody ever saw a primary of this backend: there is nothing to point at yet, and its wait says so.
    if (server === undefined) continue;
    // One name leads to one backend: where it leads already.
    const other = entries.get(database);
    if (other !== undefined && other.backend !== backend && earlier === undefined) continue;
    const { host, port } = server;
    const entry = { name: database, database, backend, host, port, maxConnections, readOnly: false };
    entries.set(database, { ...entry, ...lookupIn(database, backend, clients) });
  }
  return [...entries.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
};

/** One login asks for all logins of a database, so the first of those that there are does. */
const lookupIn = (
  database: string,
  backend: string,
  clients: readonly ServedClient[],
): Pick<DatabaseSpec, 'lookup'> => {
  const asking = clients.find(
    (one) => one.database === database && one.backend === backend && one.lookup !== undefined,
  );
  return asking?.lookup === undefined ? {} : { lookup: asking.lookup.username };
};

interface Allotted {
  readonly holdings: readonly HoldingSpec[];
  readonly overdue: readonly Overdue[];
  /** Most that may be held of it from now on; Infinity while others wait until less is. */
  readonly level: number;
}

/**
 * Every budget for itself; but a database and its reads are one where the reads lead to its primary too, or may still do so: what
 * the one may hold the other does not get.
 */
const allottedAll = (
  inputs: Inputs,
  slots: readonly SlotSpec[],
  whole: number,
  next: Pick<FleetSpec, 'databases' | 'users'>,
): readonly Allotted[] => {
  const current = inputs.current?.spec ?? null;
  const pairs = next.databases.flatMap(({ name }): readonly (readonly [string, string])[] => {
    const reads = readOnlyNameOf(name);
    if (whole === 0 || reads === null) return [];
    const isShared = readsPrimary(next, name) || (current !== null && mayReadPrimary(current, name));
    return isShared ? [[name, reads]] : [];
  });
  const paired = new Set(pairs.flat());
  const budgets = budgetsIn(next);
  const limitOf = (name: string): Budget =>
    budgets.find((one) => one.of === 'database' && one.name === name) ?? { of: 'database', name, maxConnections: 0 };
  const alone = budgets.filter(({ of, name }) => of !== 'database' || !paired.has(name));
  return [
    ...alone.map((budget) => allottedOf(inputs, budget, budget.maxConnections, claimsOf(inputs, slots, budget))),
    ...pairs.flatMap(([name, reads]) => {
      const [own, others] = [limitOf(name), limitOf(reads)];
      const reading = claimsOf(inputs, slots, others);
      const isAwaited = inputs.isPatient && reading.some((one) => one.isLive && mostHeld([one]) > one.exact);
      const taken = isAwaited ? Number.POSITIVE_INFINITY : mostHeld(reading);
      const first = allottedOf(inputs, own, whole - taken, claimsOf(inputs, slots, own));
      return [first, allottedOf(inputs, others, whole - first.level, reading)];
    }),
  ];
};

/** Of what is published: earlier generations count until everybody has shown that it serves a later one. */
const mayReadPrimary = (current: FleetSpec, database: string): boolean => {
  const name = readOnlyNameOf(database);
  return (
    readsPrimary(current, database) ||
    current.holdings.some((one) => one.of === 'database' && one.name === name && !has(current, name))
  );
};
const has = ({ databases }: FleetSpec, name: string): boolean => databases.some((one) => one.name === name);

const claimsOf = (
  { units, current }: Inputs,
  slots: readonly SlotSpec[],
  { of, name, maxConnections }: Budget,
): readonly Claim[] => {
  const key: BudgetKey = { of, name };
  const exact = maxConnections === 0 ? null : sharesOf(maxConnections, slots);
  const before = grantsIn(current, key);
  return units.map((record) =>
    claimOf(record, current, key, { exact: sum(exact?.get(record.unit) ?? []), ...before(record.unit) }),
  );
};

const allottedOf = (
  { isPatient }: Inputs,
  { of, name }: BudgetKey,
  whole: number,
  claims: readonly Claim[],
): Allotted => {
  const key: BudgetKey = { of, name };
  const allotments = allot(whole, claims, isPatient);
  const holdings = allotments.flatMap(({ unit, granted, reserved }, index): readonly HoldingSpec[] =>
    granted === claims[index]?.exact && reserved === 0 ? [] : [{ ...key, unit, granted, reserved: finite(reserved) }],
  );
  const late = overdue(claims, allotments).map(
    ({ unit, isLive, isCurrent, held, granted, reserved }): Overdue => ({
      ...key,
      unit,
      granted: allotments.find((one) => one.unit === unit)?.granted ?? 0,
      isLive,
      isCurrent,
      held: finite(isCurrent ? held : Math.max(held, granted, reserved)),
    }),
  );
  const isAwaited = isPatient && late.some(({ isLive }) => isLive);
  return { holdings, overdue: late, level: isAwaited ? Number.POSITIVE_INFINITY : mostAllotted(claims, allotments) };
};

/** What the current generation gives each unit. */
const grantsIn = (
  current: Published | null,
  key: BudgetKey,
): ((unit: UnitName) => Pick<Claim, 'granted' | 'reserved'>) => {
  const nothing = { granted: 0, reserved: 0 };
  if (current === null) return () => nothing;
  const { databases, users, slots, holdings } = current.spec;
  const before = (key.of === 'database' ? databases : users).find(({ name }) => name === key.name);
  const moving = new Map(holdings.filter((one) => isSameBudget(one, key)).map((one) => [one.unit, one]));
  const reservedFor = (holding: HoldingSpec | undefined): number =>
    holding === undefined ? 0 : (holding.reserved ?? Number.POSITIVE_INFINITY);
  if (before === undefined) return (unit) => ({ ...nothing, reserved: reservedFor(moving.get(unit)) });
  const exact = sharesOf(before.maxConnections, slots);
  return (unit) => {
    const shares = exact.get(unit);
    const holding = moving.get(unit);
    const granted = before.maxConnections === 0 ? Number.POSITIVE_INFINITY : (holding?.granted ?? sum(shares ?? []));
    return { granted: shares === undefined ? 0 : granted, reserved: reservedFor(holding) };
  };
};

/**
 * A unit that is silent or down keeps what it has. One that left the roster holds nothing: it left after its PgBouncers had ended,
 * or its departure grace has passed. In the latter case they may still run where nobody reaches them; if they do, the fleet exceeds
 * the budget by what that unit had, until it is heard again or stopped. Nobody can tell from here, and to wait longer is to set a
 * longer grace.
 */
const claimOf = (
  { unit, instances, presence, bag }: UnitRecord,
  current: Published | null,
  key: BudgetKey,
  shares: Pick<Claim, 'exact' | 'granted' | 'reserved'>,
): Claim => {
  const told = bag?.budget.find((one) => isSameBudget(one, key));
  return {
    unit,
    instances,
    ...shares,
    isCurrent: current !== null && bag?.applied === current.generation,
    held: told === undefined ? 0 : (told.held ?? Number.POSITIVE_INFINITY),
    isLive: presence === 'live',
  };
};

const finite = (connections: number): number | null => (Number.isFinite(connections) ? connections : null);

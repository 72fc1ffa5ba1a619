import { completeOptions } from '../../pgbouncer/catalogue.ts';
import type { BackendFacts } from '../model/backend.ts';
import { smallestBudget } from '../model/budget.ts';
import type { DatabaseSpec, FleetSpec, SlotSpec, UserSpec } from '../model/fleet-spec.ts';
import type { Intent, Options } from '../model/intent.ts';
import type { UnitRecord } from '../model/snapshot.ts';
import type { ServedClient } from '../protocol.ts';

export interface Inputs {
  readonly options: Options;
  /** What clients are to have; those that are served and no longer named here are left out. */
  readonly intended: Intent['clients'];
  readonly clients: readonly ServedClient[];
  readonly facts: ReadonlyMap<string, BackendFacts>;
  readonly units: readonly UnitRecord[];
  /** What is published: a backend that is away keeps the address it has there. */
  readonly current: FleetSpec | null;
}
export type Composed =
  | { readonly kind: 'composed'; readonly spec: FleetSpec }
  /** The intent cannot be had with this fleet. */
  | { readonly kind: 'refused'; readonly reason: string };

/** The fleet spec that follows from intent, roster, backend facts and secrets: same inputs, same spec. */
export const compose = (inputs: Inputs): Composed => {
  const options = completeOptions(inputs.options);
  const slots = inputs.units.map(({ unit, instances }): SlotSpec => ({ unit, instances }));
  const budget = Number(options['max_db_connections'] ?? 0);
  const reason = whyTooSmall(budget, inputs.intended, slots);
  if (reason !== null) return { kind: 'refused', reason };
  const databases = databasesOf(inputs, budget);
  const users = inputs.clients
    .flatMap((client) => userOf(client, inputs.intended))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return { kind: 'composed', spec: { options, databases, users, slots } };
};

const whyTooSmall = (budget: number, intended: Intent['clients'], slots: readonly SlotSpec[]): string | null => {
  const least = smallestBudget(slots);
  const budgets = [
    ['max_db_connections', budget] as const,
    ...Object.entries(intended).map(([name, client]) => [`budget of client "${name}"`, client.budget ?? 0] as const),
  ];
  const small = budgets.find(([, limit]) => limit !== 0 && limit < least);
  return small === undefined
    ? null
    : `${small.join('=')} is too small for ${least} instances on ${slots.length} units, each needs at least one connection: set it to ${least} or more, to 0 for no limit, or run fewer instances`;
};

const userOf = ({ id, name, account }: ServedClient, intended: Intent['clients']): readonly UserSpec[] => {
  const client = Object.hasOwn(intended, name) ? intended[name] : undefined;
  if (client?.id !== id) return [];
  const { poolMode, budget, timeouts } = client;
  return [{ name: account.username, secret: account.verifier, poolMode, maxConnections: budget ?? 0, timeouts }];
};

const databasesOf = ({ clients, facts, current }: Inputs, maxConnections: number): readonly DatabaseSpec[] => {
  const entries = new Map<string, DatabaseSpec>();
  for (const { database, backend } of clients) {
    const seen = facts.get(backend);
    const earlier = current?.databases.find((entry) => entry.name === database && entry.backend === backend);
    const server = seen?.kind === 'ready' ? seen.primary : earlier;
    // Nobody ever saw a primary of this backend: there is nothing to point at yet, and its wait says so.
    if (server === undefined) continue;
    entries.set(database, { name: database, database, backend, host: server.host, port: server.port, maxConnections });
  }
  return [...entries.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
};

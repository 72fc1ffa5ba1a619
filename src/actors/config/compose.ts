import { completeOptions } from '../../pgbouncer/catalogue.ts';
import type { BackendFacts } from '../model/backend.ts';
import { smallestBudget } from '../model/budget.ts';
import type { DatabaseSpec, FleetSpec, SlotSpec } from '../model/fleet-spec.ts';
import type { Options } from '../model/intent.ts';
import type { UnitRecord } from '../model/snapshot.ts';
import type { ServedClient } from '../protocol.ts';

export interface Inputs {
  readonly options: Options;
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
  const least = smallestBudget(slots);
  if (budget !== 0 && budget < least)
    return {
      kind: 'refused',
      reason: `max_db_connections=${budget} is too small for ${least} instances on ${slots.length} units, each needs at least one connection: set it to ${least} or more, to 0 for no limit, or run fewer instances`,
    };
  const databases = databasesOf(inputs, budget);
  const users = inputs.clients
    .map(({ account }) => ({ name: account.username, secret: account.verifier }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return { kind: 'composed', spec: { options, databases, users, slots } };
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

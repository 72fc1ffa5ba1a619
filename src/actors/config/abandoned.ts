/**
 * Which servers were given up dead. A planned move holds clients back until what they do on the old server has ended; of a server
 * that was looked at and did not answer, nothing ends any more, and clients are held back for nothing. One that is no longer looked
 * at may be alive: it counts as such.
 */
import { type BackendFacts, type BackendServer, textOf } from '../model/backend.ts';
import type { AbandonedSpec, DatabaseSpec, FleetSpec } from '../model/fleet-spec.ts';

/** It stays said until the backend moves again, for units that come late, and so that a spec does not change when the server comes back. */
export const abandonedBy = (
  databases: readonly DatabaseSpec[],
  facts: ReadonlyMap<string, BackendFacts>,
  current: Pick<FleetSpec, 'databases' | 'abandoned'> | null,
): readonly AbandonedSpec[] => {
  if (current === null) return [];
  const backends = [...new Set(databases.map(({ backend }) => backend))].toSorted();
  return backends.flatMap((backend): readonly AbandonedSpec[] => {
    const left = serversLeft(backend, databases, current.databases);
    if (left.length === 0) return current.abandoned.filter((one) => one.backend === backend);
    const seen = facts.get(backend);
    const silent = new Set(seen?.kind === 'ready' ? seen.silent.map(textOf) : []);
    return left.filter((server) => silent.has(textOf(server))).map(({ host, port }) => ({ backend, host, port }));
  });
};

const serversLeft = (
  backend: string,
  databases: readonly DatabaseSpec[],
  before: readonly DatabaseSpec[],
): readonly BackendServer[] => {
  const left = before.filter(
    (old) =>
      old.backend === backend &&
      !old.readOnly &&
      databases.some((now) => now.name === old.name && now.backend === backend && textOf(now) !== textOf(old)),
  );
  return [...new Map(left.map((server) => [textOf(server), server])).values()];
};

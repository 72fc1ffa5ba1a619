/** Which cluster each backend is. Once it was served from one, another one behind the same addresses is not it. */
import { type BackendFacts, heldOff } from '../model/backend.ts';
import type { BackendSpec } from '../model/fleet-spec.ts';
import type { Intent } from '../model/intent.ts';

export interface Clusters {
  /** Those of a stranger are what the operator must hear, not what is served. */
  readonly facts: ReadonlyMap<string, BackendFacts>;
  readonly backends: readonly BackendSpec[];
}

export const clustersOf = (
  intended: Intent['backends'],
  /** Those that cannot be read: they stay the clusters that they were. */
  held: readonly string[],
  seen: ReadonlyMap<string, BackendFacts>,
  served: readonly BackendSpec[],
): Clusters => {
  const known = new Map(served.map(({ name, systemId }) => [name, systemId]));
  const facts = new Map(
    [...seen].map(([name, its]) => [name, heldOff(its, known.get(name), intended[name]?.cluster ?? null)]),
  );
  const backends = [...Object.keys(intended), ...held].toSorted().flatMap((name): readonly BackendSpec[] => {
    const its = facts.get(name);
    const systemId = its?.kind === 'ready' && its.systemId !== 'unknown' ? its.systemId : known.get(name);
    return systemId === undefined ? [] : [{ name, systemId }];
  });
  return { facts, backends };
};

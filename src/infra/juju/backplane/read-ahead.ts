/**
 * What a hook is going to need is asked for side by side: a tool is a process, and most of its time is its start. Answers and refusals
 * are kept by `Reading` and taken where they are needed, in the order of things; here all of them are only waited for, so that none
 * comes when the hook is over.
 */
import { applicationOf, type UnitName } from '../../../actors/model/ids.ts';
import type { RelationRef } from '../environment.ts';
import { backendEndpoint } from './backend.ts';
import { clientEndpoints, legacyEndpoints } from './clients.ts';
import type { Reading } from './reading.ts';

/** The part of every unit. `keyLabel`: of the secret under which it reads what is shared. */
export const readPeersAhead = async (
  reading: Reading,
  { unit, peers, keyLabel }: { readonly unit: UnitName; readonly peers: RelationRef; readonly keyLabel: string },
): Promise<void> => {
  const siblings = async () =>
    Promise.allSettled((await reading.units(peers)).map((sibling) => reading.bag(peers, sibling, 'unit')));
  await Promise.allSettled([
    reading.bag(peers, applicationOf(unit), 'application'),
    reading.bag(peers, unit, 'unit'),
    reading.leads(),
    reading.labelled(keyLabel),
    siblings(),
  ]);
};

/** Of the relations to others: all that the leader looks at, and the bags of its own that every unit answers legacy clients in. */
export const readAbroadAhead = async (
  reading: Reading,
  { unit, leads }: { readonly unit: UnitName; readonly leads: boolean },
): Promise<void> => {
  const own = applicationOf(unit);
  const looked = leads ? [backendEndpoint, ...clientEndpoints] : legacyEndpoints;
  const related = (await Promise.all(looked.map((endpoint) => reading.of(endpoint)))).flat();
  const isLegacy = ({ endpoint }: RelationRef): boolean => legacyEndpoints.some((legacy) => legacy === endpoint);
  const bagsOf = async (relation: RelationRef) =>
    Promise.allSettled((await reading.units(relation)).map((member) => reading.bag(relation, member, 'unit')));
  await Promise.allSettled([
    ...(leads ? [reading.config()] : []),
    ...related.flatMap(({ relation, remoteApplication }) => [
      reading.bag(relation, remoteApplication, 'application'),
      ...(leads ? [reading.bag(relation, own, 'application')] : []),
      ...(isLegacy(relation) ? [reading.bag(relation, unit, 'unit'), bagsOf(relation)] : []),
    ]),
  ]);
};

/**
 * The requirer's side of the interface `loki_push_api`: each unit of Loki tells in its unit bag where it takes logs. Alert rules on
 * logs could be sent the other way, in our application bag; there are none.
 */
import { z } from 'zod';
import type { Bag } from '../tools.ts';
import { jsonIn } from './json.ts';
import { applicationLabels, charmName, identifierOf, type Topology } from './topology.ts';

const longestUrl = 2_048;
const told = z.looseObject({ url: z.url({ protocol: /^https?$/, normalize: true }).max(longestUrl) });

/** Where a unit of Loki takes logs; null: it does not tell, or nothing that is one. */
export const logLocationIn = (unitBag: Bag): string | null => jsonIn(unitBag['endpoint'], told)?.url ?? null;

/** What each line is found by. */
export const logLabels = (topology: Topology): Readonly<Record<string, string>> => ({
  product: 'Juju',
  charm: charmName,
  ...applicationLabels(topology),
  juju_unit: topology.unit,
  job: `juju_${identifierOf(topology)}`,
});

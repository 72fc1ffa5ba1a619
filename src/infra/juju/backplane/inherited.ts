/** What the charm in whose place ours is gave to its clients. Only what it kept itself counts: nothing of it is read from a client's bag. */
import type { Inheritance, RelationRecord } from '../../../actors/model/snapshot.ts';
import type { RelationId } from '../../../actors/model/ids.ts';
import type { JujuTools } from '../tools.ts';
import { textIn } from '../wire/bag.ts';
import { secretKeyOf, secretLabelOf } from '../wire/secret-groups.ts';
import { type Ancestor, credentialsIn, rightsIn } from '../wire/taken-over.ts';
import type { FoundClient } from './clients.ts';

/**
 * Of clients that we have no record of: those whose database is among the ones that it served for them, and whose login stands in our
 * own side of the relation, where it put it.
 */
export const inheritedBy = async (
  tools: JujuTools,
  ancestor: Ancestor | null,
  clients: readonly FoundClient[],
  records: ReadonlyMap<RelationId, RelationRecord>,
): Promise<readonly Inheritance[]> => {
  if (ancestor === null) return [];
  const found: Inheritance[] = [];
  for (const client of clients) {
    const its = served(ancestor, client);
    if (its === null || records.has(its)) continue;
    const { endpoint, ours } = client.relation;
    const credentials = credentialsIn(ours, await userSecret(tools, client));
    if (credentials !== null) found.push({ id: its, ...credentials, rights: rightsIn(endpoint, ours) });
  }
  return found;
};

/** It knew one request in each relation, by the number of that. */
const served = ({ databases }: Ancestor, { relation, asked }: FoundClient): RelationId | null => {
  const request = asked.requests.find(({ requestId }) => requestId === null);
  const isNamed = databases.some((one) => one.relation === relation.id && one.name === request?.database);
  return request !== undefined && isNamed ? request.id : null;
};

const userSecret = async (tools: JujuTools, { relation }: FoundClient) =>
  textIn(relation.ours, secretKeyOf('user')) === undefined
    ? null
    : tools.secretGet({ label: secretLabelOf(relation, null, 'user') }, 'refresh');

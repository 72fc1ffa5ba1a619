/**
 * `postgresql_client` as it was first: one request in a relation, everything flat in the bag. Passwords are in secrets when the client
 * asks for that (`requested-secrets`), and in the bag itself when it does not: clients of that age look nowhere else.
 */
import { z } from 'zod';
import type { Databag } from '../../../actors/model/snapshot.ts';
import { type Asked, type ClientRequest, judged, nothingAsked, type Said, fixedFields } from './asked.ts';
import type { Bag } from '../tools.ts';
import { revealed, textIn, textsOf } from './bag.ts';
import type { ClientDialect, ClientRelation } from './client-relation.ts';
import { jsonIn } from './json.ts';
import { relationIdOf } from './relation-id.ts';
import {
  secretFields,
  type SecretGroup,
  secretGroups,
  secretKeyOf,
  secretLabelOf,
  wantedSecret,
} from './secret-groups.ts';
import { isSameSecret } from '../secret-id.ts';

const plainKeys = ['database', 'endpoints', 'read-only-endpoints', 'version'] as const;
/** What of a bag is ours to write. */
export const flatKeys: readonly string[] = [
  'data',
  ...plainKeys,
  ...Object.values(secretFields).flat(),
  ...secretGroups.map(secretKeyOf),
  'secret-entity',
  'secret-extra',
  'resource',
  'salt',
];

const asked = (relation: ClientRelation): Asked => {
  const { endpoint, id, theirs } = relation;
  if (textIn(theirs, 'database') === undefined) return nothingAsked;
  const key = { id: relationIdOf(id, null), requestId: null, where: `relation ${endpoint}:${id}` };
  return judged(key, saidIn(theirs), firstSaid(relation));
};

const saidIn = (bag: Bag): Said => ({
  resource: textIn(bag, 'database') ?? textIn(bag, 'resource') ?? '',
  userRoles: textIn(bag, 'extra-user-roles') ?? '',
  groupRoles: textIn(bag, 'extra-group-roles') ?? '',
  entityType: textIn(bag, 'entity-type') ?? '',
  entitySecret: textIn(bag, 'requested-entity-secret') ?? '',
  prefixMatching: textIn(bag, 'prefix-matching') ?? '',
});

/** From the copy that a provider keeps; a library of v1 keeps lists in it as lists. */
const firstSaid = ({ ours }: ClientRelation): Said | null => {
  const database = textIn(ours, 'database');
  if (database === undefined) return null;
  const copy = jsonIn(textIn(ours, 'data'), z.record(z.string(), z.unknown()));
  return saidIn({ database, ...textsOf(copy ?? {}) });
};

const answerTo = (relation: ClientRelation, answers: Parameters<ClientDialect['bag']>[1]): Databag | undefined => {
  const [request] = asked(relation).requests;
  return request === undefined ? undefined : answers.get(request.id);
};

const secrets: ClientDialect['secrets'] = (relation, answers) => {
  const answer = answerTo(relation, answers);
  if (answer === undefined) return [];
  return groupsInSecrets(relation).flatMap((group) => wantedSecret(relation, null, group, answer));
};

const bag: ClientDialect['bag'] = (relation, answers, uris) => {
  const { ours } = relation;
  const [request] = asked(relation).requests;
  if (request === undefined) return {};
  const answer = answers.get(request.id);
  const published = answer === undefined ? null : groupsPublished(relation, answer, uris);
  if (answer === undefined || published === null) return textIn(ours, 'requests') === undefined ? ours : {};
  return {
    data: dataOf(relation, request),
    ...Object.fromEntries(plainKeys.map((key) => [key, revealed(answer[key])])),
    ...published,
  };
};

/** Null while a secret is not there that a group needs: credentials, endpoints and the rest have to be seen at once. */
const groupsPublished = (relation: ClientRelation, answer: Databag, uris: ReadonlyMap<string, string>): Bag | null => {
  const inSecrets = new Set<SecretGroup>(groupsInSecrets(relation));
  const entries: (readonly [string, string])[] = [];
  for (const group of secretGroups) {
    if (!inSecrets.has(group)) {
      entries.push(...secretFields[group].map((field) => [field, plainField(field, answer)] as const));
    } else if (wantedSecret(relation, null, group, answer).length > 0) {
      const uri = uris.get(secretLabelOf(relation, null, group));
      if (uri === undefined) return null;
      const before = textIn(relation.ours, secretKeyOf(group)) ?? '';
      entries.push([secretKeyOf(group), isSameSecret(before, uri) ? before : uri]);
    }
  }
  return Object.fromEntries(entries);
};

/** Clients that know of reads at standbys all know of secrets. */
const plainField = (field: string, answer: Databag): string =>
  field === 'read-only-uris' ? '' : revealed(answer[field]);

/** A relation that began with passwords in the bag stays so: its client may not look elsewhere. */
const groupsInSecrets = ({ theirs, ours, hasSecrets }: ClientRelation): readonly SecretGroup[] => {
  const requested = jsonIn(textIn(theirs, 'requested-secrets'), z.array(z.string())) ?? [];
  if (!hasSecrets || requested.some((field) => textIn(ours, field) !== undefined)) return [];
  return secretGroups.filter((group) => secretFields[group].some((field) => requested.includes(field)));
};

/**
 * The client's bag as it was answered: libraries on our side tell by it what is new. Those of v0 miss `database` in it and those of v1
 * `resource`, each would answer anew with another password; with both none does.
 */
const dataOf = (relation: ClientRelation, { database }: ClientRequest): string => {
  const first = firstSaid(relation);
  const { data: _, ...theirs } = relation.theirs;
  const fixed = first === null ? [] : fixedFields.map(([key, name]) => [name, first[key]] as const);
  const copy = Object.entries({ ...theirs, ...Object.fromEntries(fixed), resource: database });
  return JSON.stringify(
    Object.fromEntries(copy.filter(([, value]) => value !== '').toSorted(([a], [b]) => (a < b ? -1 : 1))),
  );
};

export const v0: ClientDialect = { asked, secrets, bag };

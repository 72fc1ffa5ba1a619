/**
 * Our side of `postgresql_client`, as provider. There is no handshake: a client that writes `version` = `v1` is answered in the second
 * version of the interface, one that writes no version in the first, and with any other nothing is changed. Everything here is a pure
 * function of the two bags and of what is to be answered; nothing that a client writes makes any of it throw.
 */
import { type Asked, type Refusal, unreadable } from './asked.ts';
import type { Bag } from '../tools.ts';
import { changesTo, textIn, textsOf } from './bag.ts';
import type { Answers, ClientDialect, ClientRelation } from './client-relation.ts';
import { flatKeys, v0 } from './client-v0.ts';
import { responsesIn, v1 } from './client-v1.ts';
import { quoted } from '../../../actors/model/quoted.ts';
import { labelsNamedIn, type WantedSecret } from './secret-groups.ts';

const keys = [...flatKeys, 'requests', 'status'];

const dialectOf = ({ theirs, ours }: ClientRelation): ClientDialect | 'unknown' => {
  const version = textIn(theirs, 'version');
  if (version === undefined) return Object.keys(theirs).length === 0 && textIn(ours, 'requests') ? v1 : v0;
  return version === 'v1' ? v1 : 'unknown';
};

/** What the client asks for, and what of it is not done. */
export const askedBy = (relation: ClientRelation): Asked => {
  const dialect = dialectOf(relation);
  if (dialect !== 'unknown') return dialect.asked(relation);
  const { endpoint, id, theirs, ours } = relation;
  const version = textIn(theirs, 'version') ?? '';
  // As it was answered: nobody took it back.
  const { requests } = textIn(ours, 'requests')
    ? v1.asked({ ...relation, theirs: { version: 'v1', requests: '?' } })
    : v0.asked({ ...relation, theirs: ours });
  const reason = `it speaks version ${quoted(version)} of the interface, and v0 and v1 are known`;
  return { requests, refusals: [unreadable(null, `relation ${endpoint}:${id}`, reason)] };
};

/** Secrets that have to be there, granted to the relation, before the bag may name them; and labels of those that are left over. */
export const secretsFor = (
  relation: ClientRelation,
  answers: Answers,
): { readonly wanted: readonly WantedSecret[]; readonly unwanted: readonly string[] } => {
  const dialect = dialectOf(relation);
  if (dialect === 'unknown') return { wanted: [], unwanted: [] };
  const wanted = dialect.secrets(relation, answers);
  const named = dialect.bag(relation, answers, new Map(wanted.map(({ label }) => [label, 'secret:granted'])));
  const kept = new Set([...wanted.map(({ label }) => label), ...labelsOf(relation, named)]);
  return { wanted, unwanted: labelsOf(relation, relation.ours).filter((label) => !kept.has(label)) };
};

/** Labels of all secrets that our side of the relation names. When it breaks they are ours to remove. */
export const labelsOf = (relation: Pick<ClientRelation, 'endpoint' | 'id'>, ours: Bag): readonly string[] => [
  ...labelsNamedIn(relation, null, ours),
  ...[...responsesIn(ours)].flatMap(([id, response]) => labelsNamedIn(relation, id, textsOf(response))),
];

/**
 * What to write into our application bag, all in one hook: clients look at the rest when they see credentials. `uris` leads from
 * labels to the secrets that are there and granted; an answer that needs another one is not told yet.
 */
export const changesFor = (relation: ClientRelation, answers: Answers, uris: ReadonlyMap<string, string>): Bag => {
  const dialect = dialectOf(relation);
  if (dialect === 'unknown') return {};
  const status = statusText(dialect.asked(relation).refusals);
  return changesTo(relation.ours, { ...dialect.bag(relation, answers, uris), status }, keys);
};

/** Sorted by code, each code once. */
const statusText = (refusals: readonly Refusal[]): string => {
  const codes = [...new Set(refusals.map(({ code }) => code))].toSorted((a, b) => a - b);
  const statuses = codes.map((code) => {
    const those = refusals.filter((refusal) => refusal.code === code);
    return { code, message: distinct(those, 'reason'), resolution: distinct(those, 'resolution') };
  });
  return statuses.length === 0 ? '' : JSON.stringify(statuses);
};

const distinct = (refusals: readonly Refusal[], field: 'reason' | 'resolution'): string =>
  [...new Set(refusals.map((refusal) => refusal[field]))].slice(0, 5).join('; ');

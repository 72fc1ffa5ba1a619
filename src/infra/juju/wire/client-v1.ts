/**
 * `postgresql_client` of the second kind: several requests in a relation, each with an id that the client made. An answer counts when
 * its id is in our `data` as well, which therefore holds every answered id, and nothing that is not an object. Credentials are always
 * in secrets.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Databag } from '../../../actors/model/snapshot.ts';
import { fixedFields, judged, type Refusal, refusalCodes, type Said, unreadable } from './asked.ts';
import type { Bag } from '../tools.ts';
import { textIn } from './bag.ts';
import type { ClientDialect, ClientRelation } from './client-relation.ts';
import { jsonIn } from './json.ts';
import { relationIdOf } from './relation-id.ts';
import { secretGroups, secretKeyOf, secretLabelOf, wantedSecret } from './secret-groups.ts';
import { isSameSecret } from '../secret-id.ts';

/** As many as a client may ask for in one relation. */
const mostRequests = 100;

/** Other names of `resource`, from the kinds of servers that the interface is for; whoever writes one of them means it. */
const aliases = ['resource', 'database', 'subject', 'topic', 'index', 'plugin-url', 'prefix'] as const;
const texts = [
  ...aliases,
  'request-id',
  'salt',
  'extra-user-roles',
  'extra-group-roles',
  'entity-type',
  'prefix-matching',
  'secret-requested-entity',
  'requested-entity-secret',
] as const;
type Text = (typeof texts)[number];
type Wire = Readonly<Partial<Record<Text, string | null | undefined>>>;
const wireSchema: z.ZodType<Wire> = z.looseObject(
  Object.fromEntries(texts.map((name) => [name, z.string().nullish()])),
);

const resourceOf = (wire: Wire): string => aliases.map((name) => wire[name]).find((text) => text) ?? '';
const saidIn = (wire: Wire): Said => ({
  resource: resourceOf(wire),
  userRoles: wire['extra-user-roles'] ?? '',
  groupRoles: wire['extra-group-roles'] ?? '',
  entityType: wire['entity-type'] ?? '',
  entitySecret: wire['secret-requested-entity'] ?? wire['requested-entity-secret'] ?? '',
  prefixMatching: wire['prefix-matching'] ?? '',
});

/** It stands in labels of secrets, between dots, and in `data` beside the statuses. */
const idSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/)
  .refine((id) => id !== 'status');

/** As a client makes it. */
export const requestIdOf = (resource: string, salt: string): string =>
  createHash('sha256').update(`${resource}:${salt}`).digest('hex').slice(0, 16);

const responseSchema = z.looseObject({ 'request-id': idSchema });
type Response = z.infer<typeof responseSchema>;

/** Our answers as they stand, by the id of their request. */
export const responsesIn = (ours: Bag): ReadonlyMap<string, Response> => {
  const list = jsonIn(textIn(ours, 'requests'), z.array(z.unknown())) ?? [];
  return new Map(
    list.flatMap((item) => {
      const response = responseSchema.safeParse(item).data;
      return response === undefined ? [] : [[response['request-id'], response] as const];
    }),
  );
};

interface Entry {
  readonly id: string;
  /** What it asks for now; null when that cannot be read. */
  readonly wire: Wire | null;
  readonly response: Response | null;
  /** The copy that went with the response. */
  readonly copy: Wire | null;
  /** What it asked for when it was answered. */
  readonly first: Said | null;
}

interface Reading {
  readonly where: string;
  readonly entries: readonly Entry[];
  readonly refusals: readonly Refusal[];
}

const readingOf = ({ endpoint, id: relationId, theirs, ours }: ClientRelation): Reading => {
  const where = `relation ${endpoint}:${relationId}`;
  const responses = responsesIn(ours);
  const copies = new Map(Object.entries(jsonIn(textIn(ours, 'data'), z.record(z.string(), z.unknown())) ?? {}));
  const entryOf = (id: string, wire: Wire | null): Entry => {
    const response = responses.get(id) ?? null;
    const copy = response === null ? null : (wireSchema.safeParse(copies.get(id)).data ?? null);
    const first = wireSchema.safeParse(response === null ? null : { ...response, ...copy }).data;
    return { id, wire, response, copy, first: first === undefined ? null : saidIn(first) };
  };
  const text = textIn(theirs, 'requests');
  const list = text === undefined ? [] : jsonIn(text, z.array(z.unknown()));
  // Unknown is not none: what was answered before stays.
  if (list === undefined)
    return {
      where,
      entries: [...responses.keys()].map((id) => entryOf(id, null)),
      refusals: [unreadable(null, where, 'its requests are no list in JSON')],
    };
  const found = list.slice(0, mostRequests).map((item) => {
    const wire = wireSchema.safeParse(item).data ?? null;
    const id = idIn(item, wire);
    const isKept = id !== null && (wire !== null || responses.has(id));
    return { isReadable: id !== null && wire !== null, entry: isKept ? entryOf(id, wire) : null };
  });
  return {
    where,
    entries: withoutDoubles(
      relationId,
      found.flatMap(({ entry }) => entry ?? []),
    ),
    refusals: [
      ...(found.every(({ isReadable }) => isReadable)
        ? []
        : [unreadable(null, where, 'a request has no id, or another shape')]),
      ...(list.length > mostRequests ? [unreadable(null, where, `it holds more than ${mostRequests} requests`)] : []),
    ],
  };
};

const idIn = (item: unknown, wire: Wire | null): string | null => {
  const given = z.looseObject({ 'request-id': idSchema }).safeParse(item).data?.['request-id'];
  if (given !== undefined || wire === null || wire['request-id']) return given ?? null;
  return wire.salt ? requestIdOf(resourceOf(wire), wire.salt) : null;
};

/** The same id is one request. Another id with the number of an earlier one was made up to have it. */
const withoutDoubles = (relationId: number, entries: readonly Entry[]): readonly Entry[] => {
  const byNumber = new Map<number, Entry>();
  for (const entry of entries) {
    const number = relationIdOf(relationId, entry.id);
    const earlier = byNumber.get(number);
    if (earlier === undefined || (earlier.id === entry.id && earlier.wire === null)) byNumber.set(number, entry);
  }
  return [...byNumber.values()];
};

const asked: ClientDialect['asked'] = (relation) => {
  const { where, entries, refusals } = readingOf(relation);
  if (!relation.hasSecrets) return { requests: [], refusals: entries.length === 0 ? refusals : [secretless(where)] };
  const judgements = entries.map(({ id, wire, first }) =>
    judged(
      { id: relationIdOf(relation.id, id), requestId: id, where: `request ${id} of ${where}` },
      wire === null ? null : saidIn(wire),
      first,
    ),
  );
  return {
    requests: judgements.flatMap(({ requests }) => requests),
    refusals: [...refusals, ...judgements.flatMap((judgement) => judgement.refusals)],
  };
};

const secretless = (where: string): Refusal => {
  const resolution = 'upgrade the controller and the model to Juju 3.0.3 or newer';
  return {
    requestId: null,
    code: refusalCodes.secretless,
    reason: `${where} cannot be answered: its client reads credentials in Juju secrets only, which this Juju does not have; ${resolution}`,
    resolution,
  };
};

const secrets: ClientDialect['secrets'] = (relation, answers) =>
  asked(relation).requests.flatMap(({ id, requestId }) => {
    const answer = answers.get(id);
    return answer === undefined || requestId === null
      ? []
      : secretGroups.flatMap((group) => wantedSecret(relation, requestId, group, inJson(answer)));
  });

/** `tls` is read as JSON here. */
const inJson = (answer: Databag): Databag => {
  const { tls } = answer;
  return typeof tls === 'string' ? { ...answer, tls: tls.toLowerCase() } : answer;
};

const bag: ClientDialect['bag'] = (relation, answers, uris) => {
  const served = new Set(asked(relation).requests.map(({ requestId }) => requestId));
  const told = readingOf(relation).entries.flatMap((entry) => {
    if (!served.has(entry.id)) return [];
    const answer = answers.get(relationIdOf(relation.id, entry.id));
    const renewed = answer === undefined ? null : responseTo(relation, entry, answer, uris);
    const response = renewed ?? entry.response;
    return response === null ? [] : [{ entry, response }];
  });
  if (told.length === 0) return {};
  const data = Object.fromEntries(told.map(({ entry }) => [entry.id, copyOf(entry)]));
  return {
    version: 'v1',
    requests: JSON.stringify(told.map(({ response }) => response)),
    data: JSON.stringify({ ...data, ...statusesTold(relation) }),
  };
};

/** Null while a secret is not there that a group needs. */
const responseTo = (
  relation: ClientRelation,
  { id, wire, copy, response: before }: Entry,
  answer: Databag,
  uris: ReadonlyMap<string, string>,
): Response | null => {
  const named: (readonly [string, string])[] = [];
  for (const group of secretGroups) {
    if (wantedSecret(relation, id, group, answer).length === 0) continue;
    const uri = uris.get(secretLabelOf(relation, id, group));
    if (uri === undefined) return null;
    const earlier = before?.[secretKeyOf(group)];
    // Another spelling of the same address would be news to the client.
    named.push([secretKeyOf(group), typeof earlier === 'string' && isSameSecret(earlier, uri) ? earlier : uri]);
  }
  const fields = [
    ['resource', answer['database']],
    ['request-id', id],
    ['salt', wire?.salt ?? copy?.salt],
    ['endpoints', answer['endpoints']],
    ['read-only-endpoints', answer['read-only-endpoints']],
    ...named,
    ['version', answer['version']],
  ] as const;
  const texts = fields.filter(([, value]) => typeof value === 'string' && value !== '');
  return { 'request-id': id, ...Object.fromEntries(texts) };
};

/** Never in our bag, whoever wrote it. */
const blank: ReadonlySet<string> = new Set(['entity-name', 'entity-password', 'password', 'mtls-cert']);

/** The request as it was first answered: without what is not set, and without what is secret. */
const copyOf = ({ id, wire, copy, first }: Entry): Readonly<Record<string, unknown>> => {
  const basis = wire ?? copy ?? {};
  const fixed = first === null ? [] : fixedFields.map(([key, name]) => [name, first[key]] as const);
  const { database: _, ...named } = Object.fromEntries(fixed);
  const whole = { ...basis, resource: first?.resource ?? resourceOf(basis), 'request-id': id, ...named };
  return Object.fromEntries(
    Object.entries(whole)
      .filter(([, value]) => isSaid(value))
      .map(([key, value]) => [key, blank.has(key) ? '' : value]),
  );
};

/** Lists and objects belong to requests that are not served. */
const isSaid = (value: unknown): boolean =>
  (typeof value === 'string' && value !== '') || typeof value === 'number' || value === true;

/**
 * A client compares the statuses in our bag with those in our `data`: what is new in the bag was raised, what is gone was resolved.
 * Written side by side they would be news to nobody, so `data` follows when a unit of the client shows that it has heard.
 */
const statusesTold = ({ ours, theirUnits = [] }: ClientRelation): Readonly<Record<string, unknown>> => {
  const told = jsonIn(textIn(ours, 'status'), z.array(z.looseObject({ code: z.int() }))) ?? [];
  const heard = new Set([ours, ...theirUnits].flatMap(codesIn));
  const noted = told.map((one) => [String(one.code), one] as const).filter(([code]) => heard.has(code));
  return noted.length === 0 ? {} : { status: Object.fromEntries(noted) };
};

const codesIn = (bag: Bag): readonly string[] =>
  Object.keys(jsonIn(textIn(bag, 'data'), z.looseObject({ status: z.record(z.string(), z.unknown()) }))?.status ?? {});

export const v1: ClientDialect = { asked, secrets, bag };

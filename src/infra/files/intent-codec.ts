/**
 * The intent as it is kept. Its entries are read one by one: an option, a backend or a client that cannot be read, or that no unit
 * could serve, harms itself only. It is told as unreadable, and written back as it was found when something else changes.
 */
import { z } from 'zod';
import type { RelationId } from '../../actors/model/ids.ts';
import type { BackendIntent, ClientIntent, Intent, OptionValue, UnreadableEntry } from '../../actors/model/intent.ts';
import { databaseProblem, endpointProblem, relationNameProblem } from '../../actors/model/names.ts';
import { checkOptions } from '../../pgbouncer/catalogue.ts';
import { canonical, escaped } from './canonical.ts';
import { type Codec, corrupt, forbidden, maxDepth, parsedJson, type Sealer, sentenceOf, unsealedAt } from './codec.ts';
import { seal } from './seal.ts';

export type IntentHead = Omit<Intent, Kind | 'unreadable'>;
type Kind = UnreadableEntry['of'];

interface Schemas {
  readonly head: z.ZodType<IntentHead>;
  readonly option: z.ZodType<OptionValue>;
  readonly backend: z.ZodType<BackendIntent>;
  readonly client: z.ZodType<ClientIntent>;
}

const sections = z.looseObject({
  options: z.record(z.string(), z.unknown()),
  backends: z.record(z.string(), z.unknown()),
  clients: z.record(z.string(), z.unknown()),
});

export const intentCodecOf = (schemas: Schemas, maxLength: number): Codec<Intent> => ({
  maxLength,
  encode: ({ key, application }, object, { unreadable, ...intent }) => {
    const stored = (of: Kind): Readonly<Record<string, unknown>> =>
      Object.fromEntries([
        ...unreadable.filter((entry) => entry.of === of).map((entry) => [entry.name, entry.stored] as const),
        ...Object.entries(intent[of]),
      ]);
    const whole = { ...intent, options: stored('options'), backends: stored('backends'), clients: stored('clients') };
    return canonical(whole, (secret, field) => ({ $sealed: seal(key, { application, object, field }, secret) }));
  },
  decode: (sealer, object, text) => {
    if (text.length > maxLength) return corrupt(`it has ${text.length} characters, more than ${maxLength}`);
    const tree = parsedJson(text);
    if (tree.kind !== 'decoded') return tree;
    const split = sections.safeParse(tree.value);
    if (!split.success) return corrupt(sentenceOf(split.error));
    const { options, backends, clients, ...rest } = split.data;
    const opened = unsealedAt({ sealer, object }, rest, '', 0);
    if (opened.kind !== 'decoded') return opened;
    const head = schemas.head.safeParse(opened.value);
    if (!head.success) return corrupt(sentenceOf(head.error));
    const reading: Reading = { sealer, object, next: head.data.nextRelation };
    const read = {
      options: entriesOf(reading, 'options', options, schemas.option, optionProblem),
      backends: entriesOf(reading, 'backends', backends, schemas.backend, backendProblem),
      clients: entriesOf(reading, 'clients', clients, schemas.client, clientProblem),
    };
    const otherKey = [...read.options, ...read.backends, ...read.clients].find(isOtherKey);
    // One sealed with another key is somebody's; when none is sealed with ours, it is the intent of another fleet.
    if (otherKey !== undefined && !read.backends.some(({ kind }) => kind === 'read'))
      return { kind: 'otherKey', keyId: otherKey.keyId };
    return { kind: 'decoded', value: assembled(head.data, read) };
  },
});

interface Reading {
  readonly sealer: Sealer;
  readonly object: string;
  readonly next: RelationId;
}
type Entry<T> =
  | { readonly kind: 'read'; readonly name: string; readonly value: T; readonly stored: unknown }
  | {
      readonly kind: 'unreadable';
      readonly entry: UnreadableEntry;
      /** Of what it is sealed with, when that is why. */
      readonly keyId: string | null;
    };

const isOtherKey = (
  entry: Entry<unknown>,
): entry is Extract<Entry<unknown>, { kind: 'unreadable' }> & { keyId: string } =>
  entry.kind === 'unreadable' && entry.keyId !== null;

const entriesOf = <T>(
  reading: Reading,
  of: Kind,
  section: Readonly<Record<string, unknown>>,
  schema: z.ZodType<T>,
  problemOf: (name: string, value: T, next: RelationId) => string | null,
): readonly Entry<T>[] =>
  Object.entries(section).map(([name, stored]): Entry<T> => {
    const bad = (reason: string, keyId: string | null = null): Entry<T> => ({
      kind: 'unreadable',
      entry: unreadable(reading, of, name, stored, reason),
      keyId,
    });
    if (forbidden.has(name)) return bad('its name is a word of its own wherever JSON is read');
    const opened = unsealedAt(reading, stored, `/${of}/${escaped(name)}`, 2);
    if (opened.kind === 'otherKey') return bad(`it is sealed with another key (${opened.keyId})`, opened.keyId);
    if (opened.kind === 'corrupt') return bad(opened.reason);
    const parsed = schema.safeParse(opened.value);
    if (!parsed.success) return bad(sentenceOf(parsed.error));
    const problem = problemOf(name, parsed.data, reading.next);
    return problem === null ? { kind: 'read', name, value: parsed.data, stored } : bad(problem);
  });

const givenId = z.looseObject({ id: z.int().nonnegative() });

const unreadable = ({ next }: Reading, of: Kind, name: string, stored: unknown, reason: string): UnreadableEntry => {
  const given = givenId.safeParse(stored);
  const id = of !== 'options' && given.success && given.data.id < next ? (given.data.id as RelationId) : null;
  // What is deeper than anything of ours is nothing that could ever be read.
  return { of, name, id, reason, stored: isDeep(stored, maxDepth) ? null : stored };
};

const isDeep = (value: unknown, left: number): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (left === 0 || Object.values(value).some((item) => isDeep(item, left - 1)));

/** What was checked when it was asked for is checked again: no unit could serve what does not pass, nor anything else beside it. */
const optionProblem = (name: string, value: OptionValue): string | null =>
  checkOptions({ [name]: value })[0]?.reason ?? null;

const backendProblem = (name: string, { id, endpoints }: BackendIntent, next: RelationId): string | null =>
  relationNameProblem(name) ??
  idProblem(id, next) ??
  endpoints.map(endpointProblem).find((one) => one !== null) ??
  null;

const clientProblem = (name: string, { id, database }: ClientIntent, next: RelationId): string | null =>
  relationNameProblem(name) ?? idProblem(id, next) ?? databaseProblem(database);

const idProblem = (id: RelationId, next: RelationId): string | null =>
  id < next ? null : `/id: ${id} was never given out`;

interface ReadEntries {
  readonly options: readonly Entry<OptionValue>[];
  readonly backends: readonly Entry<BackendIntent>[];
  readonly clients: readonly Entry<ClientIntent>[];
}

const assembled = (head: IntentHead, { options, backends, clients }: ReadEntries): Intent => {
  const counts = new Map<number, number>();
  for (const entry of [...backends, ...clients])
    if (entry.kind === 'read') counts.set(entry.value.id, (counts.get(entry.value.id) ?? 0) + 1);
  const isTwice = (id: RelationId): boolean => (counts.get(id) ?? 0) > 1;
  return {
    ...head,
    options: recordOf(options),
    backends: recordOf(backends.filter((entry) => entry.kind !== 'read' || !isTwice(entry.value.id))),
    clients: recordOf(clients.filter((entry) => entry.kind !== 'read' || !isTwice(entry.value.id))),
    unreadable: [
      ...badIn(options),
      ...badIn(backends),
      ...badIn(clients),
      ...twice(backends, 'backends', isTwice),
      ...twice(clients, 'clients', isTwice),
    ],
  };
};

const recordOf = <T>(entries: readonly Entry<T>[]): Readonly<Record<string, T>> =>
  Object.fromEntries(entries.flatMap((entry) => (entry.kind === 'read' ? [[entry.name, entry.value] as const] : [])));

const badIn = (entries: readonly Entry<unknown>[]): readonly UnreadableEntry[] =>
  entries.flatMap((entry) => (entry.kind === 'unreadable' ? [entry.entry] : []));

/** Which of two is the one that the id was given to, their records know by its name. */
const twice = <T extends { readonly id: RelationId }>(
  entries: readonly Entry<T>[],
  of: Kind,
  isTwice: (id: RelationId) => boolean,
): readonly UnreadableEntry[] =>
  entries.flatMap((entry) =>
    entry.kind === 'read' && isTwice(entry.value.id)
      ? [
          {
            of,
            name: entry.name,
            id: null,
            reason: `/id: ${entry.value.id} is that of another one, too`,
            stored: entry.stored,
          },
        ]
      : [],
  );

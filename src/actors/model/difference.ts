/** What two intents ask for otherwise. Holds no secret: a changed one is said, not shown. */
import type { RelationId } from './ids.ts';
import { type BackendIntent, type ClientIntent, type Intent, type OptionValue, unreadableIn } from './intent.ts';
import { same } from './same.ts';

export interface Difference {
  /** Null: not set, so the default. */
  readonly options: readonly {
    readonly key: string;
    readonly before: OptionValue | null;
    readonly after: OptionValue | null;
  }[];
  readonly backends: readonly RelationDifference[];
  readonly clients: readonly RelationDifference[];
  /** Units that are asked to leave. */
  readonly departures: readonly string[];
}
export interface RelationDifference {
  readonly name: string;
  readonly what: 'added' | 'changed' | 'removed';
  /** Null: it has none; both are null for a secret. */
  readonly fields: readonly { readonly field: string; readonly before: string | null; readonly after: string | null }[];
}

export const differenceOf = (before: Intent | null, after: Intent | null): Difference => ({
  options: optionsDiffering(before?.options ?? {}, after?.options ?? {}),
  backends: [
    ...relationsDiffering(before?.backends ?? {}, after?.backends ?? {}, backendFields),
    ...goneUnread(before, after, 'backends'),
  ],
  clients: [
    ...relationsDiffering(before?.clients ?? {}, after?.clients ?? {}, clientFields),
    ...goneUnread(before, after, 'clients'),
  ],
  departures: (after?.departures ?? [])
    .filter((one) => !before?.departures.some((other) => same(one, other)))
    .map(({ unit }) => unit),
});

/** What could not be read is not told, only that it goes. */
const goneUnread = (
  before: Intent | null,
  after: Intent | null,
  kind: 'backends' | 'clients',
): readonly RelationDifference[] =>
  (before?.unreadable ?? []).flatMap(({ of, name }) =>
    of !== kind || unreadableIn(after, kind, name) !== undefined || Object.hasOwn(after?.[kind] ?? {}, name)
      ? []
      : [{ name, what: 'removed', fields: [] }],
  );

export const isSame = ({ options, backends, clients, departures }: Difference): boolean =>
  options.length + backends.length + clients.length + departures.length === 0;

const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const keysOf = (...records: readonly Readonly<Record<string, unknown>>[]): readonly string[] =>
  [...new Set(records.flatMap((record) => Object.keys(record)))].toSorted(byName);

const optionsDiffering = (before: Intent['options'], after: Intent['options']): Difference['options'] =>
  keysOf(before, after).flatMap((key) =>
    before[key] === after[key] ? [] : [{ key, before: before[key] ?? null, after: after[key] ?? null }],
  );

/** A field's text; a secret as it is, to be compared and never told. */
type Fields = ReadonlyMap<string, string | { readonly secret: unknown } | null>;

/** One name in two lives is a removal and an addition. */
const relationsDiffering = <T extends { readonly id: RelationId }>(
  before: Readonly<Record<string, T>>,
  after: Readonly<Record<string, T>>,
  fieldsOf: (relation: T) => Fields,
): readonly RelationDifference[] =>
  keysOf(before, after).flatMap((name): readonly RelationDifference[] => {
    const [old, now] = [before[name], after[name]];
    if (old === undefined && now === undefined) return [];
    if (old === undefined || now === undefined || old.id !== now.id)
      return [
        ...(old === undefined ? [] : [{ name, what: 'removed', fields: differing(fieldsOf(old), none) } as const]),
        ...(now === undefined ? [] : [{ name, what: 'added', fields: differing(none, fieldsOf(now)) } as const]),
      ];
    const fields = differing(fieldsOf(old), fieldsOf(now));
    return fields.length === 0 ? [] : [{ name, what: 'changed', fields }];
  });
const none: Fields = new Map();

const differing = (before: Fields, after: Fields): RelationDifference['fields'] =>
  [...new Set([...before.keys(), ...after.keys()])].flatMap((field) => {
    const [old, now] = [before.get(field) ?? null, after.get(field) ?? null];
    return same(old, now) ? [] : [{ field, before: shown(old), after: shown(now) }];
  });

const shown = (value: string | { readonly secret: unknown } | null): string | null =>
  typeof value === 'string' ? value : null;

/** In the words of a fleet file. */
const backendFields = ({ endpoints, username, password, maintenanceDatabase, cluster }: BackendIntent): Fields =>
  new Map<string, string | { readonly secret: unknown } | null>([
    ['endpoints', endpoints.join(',')],
    ['username', username],
    ['password', { secret: password }],
    ['maintenance-database', maintenanceDatabase],
    ['accept-cluster', cluster],
  ]);

const clientFields = (client: ClientIntent): Fields =>
  new Map<string, string | null>([
    ['database', client.database],
    ['backend', client.backend],
    ['extra-user-roles', client.extraUserRoles.length === 0 ? null : client.extraUserRoles.join(',')],
    ['pool-mode', client.poolMode],
    ['budget', textOf(client.budget)],
    ...Object.entries(client.timeouts).map(([name, seconds]) => [wordOf(name), textOf(seconds)] as const),
  ]);

const textOf = (value: number | null): string | null => (value === null ? null : String(value));
/** `queryTimeout`: `query-timeout`. */
const wordOf = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

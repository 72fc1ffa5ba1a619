import type { Digest } from '../../actors/model/ids.ts';
import { Secret } from '../../actors/model/secret.ts';
import type { FleetSpec } from '../../actors/model/fleet-spec.ts';
import { digestOf } from './stored-object.ts';

/** JSON with sorted keys and no blanks: equal values have equal bytes. `write` decides what becomes of a secret. */
export const canonical = (value: unknown, write: (secret: Secret, field: string) => unknown): string =>
  JSON.stringify(sorted(value, '', write));

/** For fingerprints only: the text holds every secret in clear and must not be kept. */
export const revealed = (value: unknown): string => canonical(value, (secret) => ({ $secret: secret.reveal() }));

/** A fleet spec holds no password, only salted verifiers, so its digest gives nothing away. */
export const digestOfSpec = (spec: FleetSpec): Digest => digestOf(revealed(spec));

const sorted = (value: unknown, field: string, write: (secret: Secret, field: string) => unknown): unknown => {
  if (value instanceof Secret) return write(value, field);
  if (Array.isArray(value)) return value.map((item, index) => sorted(item, `${field}/${index}`, write));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item, `${field}/${escaped(key)}`, write)]));
};

/** As in a JSON pointer, so that no two fields share a path. */
export const escaped = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1');

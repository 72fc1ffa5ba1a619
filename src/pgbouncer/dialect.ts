/**
 * PgBouncer's own ini dialect. It looks like ini and is not: a value is the rest of the line, verbatim, without quotes, escapes or
 * trailing comments; the entries of [databases], [users] and [peers] are connection strings with single quotes. The `ini` package
 * is right about sections and lines and wrong about values (it quotes those that contain `=` and cuts at `;`), so values go past it.
 * What cannot be written is refused here; nothing is ever changed to fit.
 */
import { parse } from 'ini';
import type { PgBouncerVersion } from '../actors/model/workload.ts';
import { isAtLeast } from './version.ts';

export type Entries = readonly (readonly [key: string, value: string])[];
export type Sections = readonly (readonly [name: string, entries: Entries])[];

/** A value or name that the dialect has no way to write. */
export class Unwritable extends Error {
  override readonly name = 'Unwritable';
}

export const encodeIni = (sections: Sections): string =>
  sections
    .map(([name, entries]) =>
      [`[${name}]`, ...entries.map(([key, value]) => `${key} = ${line(key, value)}`), ''].join('\n'),
    )
    .join('\n');

/** As PgBouncer reads it: keys in order, the last of duplicates wins. */
export const decodeIni = (text: string): ReadonlyMap<string, ReadonlyMap<string, string>> => {
  const sections = new Map<string, Map<string, string>>();
  let current: Map<string, string> | undefined;
  for (const raw of text.split('\n')) {
    const written = raw.trim();
    if (written === '' || written.startsWith(';') || written.startsWith('#')) continue;
    const [header] = Object.keys(written.startsWith('[') ? parse(written) : {});
    if (header !== undefined) {
      current = sections.get(header) ?? new Map();
      sections.set(header, current);
      continue;
    }
    const at = written.indexOf('=');
    if (current === undefined || at < 1) throw new Unwritable(`cannot read the line ${JSON.stringify(written)}`);
    current.set(written.slice(0, at).trimEnd(), written.slice(at + 1).trim());
  }
  return sections;
};

// biome-ignore lint: control characters are what is looked for.
const control = /[\u0000-\u001f\u007f\u0085\u2028\u2029]/;

const line = (key: string, value: string): string => {
  if (control.test(value))
    throw new Unwritable(`cannot write ${key}: its value holds a control character or a line break`);
  if (value !== value.trim()) throw new Unwritable(`cannot write ${key}: its value begins or ends with a blank`);
  return value;
};

const longestName = 63;

/** Key of a database or user: a plain word in every version; from 1.25 anything but a single quote, in single quotes. */
export const entryKey = (name: string, version: PgBouncerVersion): string => {
  if (Buffer.byteLength(name) > longestName)
    throw new Unwritable(`cannot write the name ${JSON.stringify(name)}: it is longer than ${longestName} bytes`);
  if (name === 'pgbouncer') throw new Unwritable('cannot write the name "pgbouncer": it is the console');
  if (/^[A-Za-z0-9_.-]+$/.test(name)) return name;
  if (isAtLeast(version, '1.25') && name !== '' && !name.includes("'") && !control.test(name)) return `'${name}'`;
  throw new Unwritable(
    `cannot write the name ${JSON.stringify(name)}: this PgBouncer takes letters, digits and _ . - only`,
  );
};

/** `key='value' …`: every text quoted, inner quotes doubled. An empty value cannot be written, so its key must be left out. */
export const connectionString = (entries: readonly (readonly [key: string, value: string | number])[]): string =>
  entries.map(([key, value]) => `${key}=${typeof value === 'number' ? String(value) : quoted(key, value)}`).join(' ');

const quoted = (key: string, value: string): string => {
  if (value === '') throw new Unwritable(`cannot write an empty ${key}`);
  return `'${line(key, value).replaceAll("'", "''")}'`;
};

/** The pairs of a connection string as PgBouncer reads them. */
export const parseConnectionString = (text: string): ReadonlyMap<string, string> => {
  const pairs = new Map<string, string>();
  for (const [, key, inQuotes, bare] of text.matchAll(/([a-z_]+)\s*=\s*(?:'((?:[^']|'')*)'|([^\s']+))/g))
    if (key !== undefined) pairs.set(key, inQuotes?.replaceAll("''", "'") ?? bare ?? '');
  return pairs;
};

/** One line of the auth file; both fields in double quotes, inner ones doubled, no other escape. */
export const authLine = (user: string, secret: string): string => {
  if (user === '' || Buffer.byteLength(user) > 127)
    throw new Unwritable(`cannot write the user ${JSON.stringify(user)}: 1 to 127 bytes`);
  return `${inDoubleQuotes(user)} ${inDoubleQuotes(secret)}`;
};

const inDoubleQuotes = (text: string): string => {
  if (control.test(text))
    throw new Unwritable('cannot write a line of the auth file: it holds a control character or a line break');
  return `"${text.replaceAll('"', '""')}"`;
};

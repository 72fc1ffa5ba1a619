/**
 * PgBouncer's dialect of ini: a value is the rest of its line, without quotes, escapes or trailing comments; entries of
 * [databases], [users] and [peers] are connection strings with quotes of their own; what cannot be written has no way around.
 *
 * The `ini` package lays out sections and lines, and would misread nearly everything in them: it quotes values that hold `=`, cuts
 * at `;`, turns `true` into a boolean, sorts numeric keys, drops `__proto__`. So names and values pass through it shielded.
 *
 * Found out with 1.18, 1.24 and 1.26: quoted keys (from 1.25) take any byte but a quote, also `=`, `;`, `[` and a leading `%`; `*`
 * is the fallback entry in quotes too; an entry named `pgbouncer` is refused by all.
 */
import { parse, stringify } from 'ini';
import type { PgBouncerVersion } from '../actors/model/workload.ts';
import { isAtLeast } from './version.ts';

export type Entries = readonly (readonly [name: string, value: string])[];
export type SectionName = 'databases' | 'users' | 'peers' | 'pgbouncer';
export type Sections = readonly (readonly [section: SectionName, entries: Entries])[];
export type Decoded = ReadonlyMap<SectionName, ReadonlyMap<string, string>>;

/** A name or value that the dialect has no way to write. */
export class Unwritable extends Error {
  override readonly name = 'Unwritable';
}

/** A text that PgBouncer would refuse, or would not understand as it stands there. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable';
}

/** Sections without entries are left out. Throws Unwritable. */
export const encodeIni = (sections: Sections, version: PgBouncerVersion): string => {
  const shielded = sections.map(([section, entries]) => [
    section,
    Object.fromEntries(
      entries.map(([name, value]) => [
        shield(section === 'pgbouncer' ? settingKey(name) : entryKey(section, name, version)),
        shield(lineOf(name, value)),
      ]),
    ),
  ]);
  return unshielded(stringify(Object.fromEntries(shielded), { whitespace: true, platform: 'linux' }));
};

/** One setting, to follow others of its section. Throws Unwritable. */
export const settingLine = (key: string, value: string): string => `${settingKey(key)} = ${lineOf(key, value)}\n`;

/** As PgBouncer reads it: the last of duplicates wins. Throws Unreadable. */
export const decodeIni = (text: string): Decoded => {
  const lines = text.split('\n').map((line) => line.replace(/^[ \t]+|[ \t\r\v\f]+$/g, ''));
  // It would reset every setting of the first one.
  if (lines.filter((line) => line === '[pgbouncer]').length > 1) throw new Unreadable('[pgbouncer] stands there twice');
  const sections: Readonly<Record<string, Readonly<Record<string, string>>>> = parse(
    lines.map(shieldedLine).join('\n'),
  );
  return new Map(
    Object.entries(sections).map(([section, entries]) => {
      if (!isSection(section)) throw new Unreadable(`there is no section [${section}]`);
      return [section, new Map(Object.entries(entries).map(([key, value]) => [unshield(key), unshield(value)]))];
    }),
  );
};

/** `key='value' …`: every text in quotes. A key without a value cannot be written and must be left out. Throws Unwritable. */
export const connectionString = (pairs: readonly (readonly [key: string, value: string | number])[]): string =>
  pairs.map(([key, value]) => `${key}=${typeof value === 'number' ? value : quoteConn(key, value)}`).join(' ');

/** In single quotes, inner ones doubled; there is no other escape. */
export const quoteConn = (key: string, value: string): string => {
  if (value === '')
    throw new Unwritable(`cannot write ${key}: it is empty, which a connection string has no way to say`);
  return `'${printable(key, value).replaceAll("'", "''")}'`;
};

/** The pairs of a connection string as PgBouncer reads them: a bare value ends at the next blank. Throws Unreadable. */
export const parseConnectionString = (text: string): ReadonlyMap<string, string> => {
  const pairs = new Map<string, string>();
  let rest = text.trimStart();
  while (rest !== '') {
    const [whole, key, quoted, bare] = /^([^\s='"]+) *= *(?:'((?:[^']|'')+)'(?= |$)|([^' ][^ ]*)) */.exec(rest) ?? [];
    if (whole === undefined || key === undefined)
      throw new Unreadable(`cannot read the connection string ${JSON.stringify(text)}`);
    pairs.set(key, quoted?.replaceAll("''", "'") ?? bare ?? '');
    rest = rest.slice(whole.length);
  }
  return pairs;
};

/** One line of the auth file, where names may hold what they like. Throws Unwritable. */
export const authLine = (user: string, secret: string): string => {
  if (user === '' || bytesOf(user) > longestUser)
    throw new Unwritable(`cannot write the user ${JSON.stringify(user)}: it must have 1 to ${longestUser} bytes`);
  return `${inDoubleQuotes('the user', user)} ${inDoubleQuotes(`the secret of ${user}`, secret)}`;
};

const longestUser = 127;
const longestEntry = 63;
const bytesOf = (text: string): number => Buffer.byteLength(text);

const inDoubleQuotes = (what: string, text: string): string => `"${printable(what, text).replaceAll('"', '""')}"`;

const settingKey = (key: string): string => {
  if (!/^[a-z][a-z0-9_]*$/.test(key)) throw new Unwritable(`cannot write the setting ${JSON.stringify(key)}`);
  return key;
};

const entryKey = (section: SectionName, name: string, version: PgBouncerVersion): string => {
  const cannot = `cannot write ${JSON.stringify(name)} in [${section}]`;
  if (name === '' || bytesOf(name) > longestEntry) throw new Unwritable(`${cannot}: names have 1 to 63 bytes`);
  if (section === 'databases' && (name === 'pgbouncer' || name === '*'))
    throw new Unwritable(`${cannot}: to PgBouncer it means something else`);
  if (/^[A-Za-z0-9_.*-]+$/.test(name)) return name;
  if (!isAtLeast(version, '1.25'))
    throw new Unwritable(`${cannot}: before 1.25 names are made of letters, digits and _ . - only`);
  if (name.includes("'")) throw new Unwritable(`${cannot}: a single quote cannot be part of a name`);
  return `'${printable('the name', name)}'`;
};

/** Blanks at the ends would be lost. */
const lineOf = (name: string, value: string): string => {
  if (/^[ ]|[ ]$/.test(value)) throw new Unwritable(`cannot write ${name}: its value begins or ends with a blank`);
  return printable(name, value);
};

/** Control characters and line ends of all kinds: some would end the line, none of them means anything in a value. */
const printable = (what: string, text: string): string => {
  if (/[\p{Cc}\u2028\u2029]/u.test(text) || !text.isWellFormed())
    throw new Unwritable(`cannot write ${what}: it holds a line break, a control character or half a character`);
  return text;
};

/** In front a letter that `ini` takes for nothing else, and behind it none that it acts upon. */
const shield = (text: string): string => `~${encodeURIComponent(text)}`;
const unshield = (text: string): string => (text.includes('%') ? decodeURIComponent(text.slice(1)) : text.slice(1));
const unshielded = (text: string): string =>
  text.replace(/^(~\S+) = (~\S*)$/gm, (_, key: string, value: string) => `${unshield(key)} = ${unshield(value)}`);

const shieldedLine = (line: string): string => {
  if (line === '' || /^[;#]/.test(line) || /^\[[a-z]+\]$/.test(line)) return line;
  const [, quoted, bare, value] = /^(?:'([^']+)'|([A-Za-z0-9_.*-]+))[ \t]*=[ \t]*(.*)$/su.exec(line) ?? [];
  if (value === undefined) throw new Unreadable(`cannot read the line ${JSON.stringify(line)}`);
  return `${shield(quoted ?? bare ?? '')}=${shield(value)}`;
};

const isSection = (name: string): name is SectionName =>
  name === 'databases' || name === 'users' || name === 'peers' || name === 'pgbouncer';

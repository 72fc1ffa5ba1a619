/** What a file of ours says, for those who find it on disk: anybody may have changed it meanwhile. */
import { type Decoded, decodeIni, parseConnectionString, type SectionName, Unreadable } from './dialect.ts';

/** The port of a rendered file; null when the file is not one. */
export const listenPortOf = (ini: string): number | null => {
  const port = settingsIn(ini).get('listen_port') ?? '';
  return /^[1-9]\d{0,4}$/.test(port) ? Number(port) : null;
};

/** The settings of a file; empty when it cannot be read. */
export const settingsIn = (ini: string): ReadonlyMap<string, string> => sectionIn(ini, 'pgbouncer');

/** The databases of a file, each with the pairs of its connection string; empty when it cannot be read. */
export const databasesIn = (ini: string): ReadonlyMap<string, ReadonlyMap<string, string>> =>
  entriesIn(ini, 'databases');

/** The logins of a file with what they have for themselves; empty when it cannot be read. */
export const usersIn = (ini: string): ReadonlyMap<string, ReadonlyMap<string, string>> => entriesIn(ini, 'users');

const entriesIn = (ini: string, section: SectionName): ReadonlyMap<string, ReadonlyMap<string, string>> =>
  readable(() => new Map([...sectionIn(ini, section)].map(([name, text]) => [name, parseConnectionString(text)])));

/** Decodes that section only, and what was decoded lately not again: a file may hold hundreds, and is looked at every second. */
const sectionIn = (ini: string, section: SectionName): ReadonlyMap<string, string> => {
  const key = `${section} ${ini}`;
  const found = decodedLately.get(key) ?? decodedIn(ini, section);
  decodedLately.delete(key);
  decodedLately.set(key, found);
  for (const oldest of decodedLately.keys()) {
    if (decodedLately.size <= mostDecoded) break;
    decodedLately.delete(oldest);
  }
  return found;
};

/** By section and text, the latest last: the same text always means the same. */
const decodedLately = new Map<string, ReadonlyMap<string, string>>();
/** All sections of as many files as a unit with many instances has. */
const mostDecoded = 64;

const decodedIn = (ini: string, section: SectionName): ReadonlyMap<string, string> => {
  const own = ini.split(/^(?=\[)/m).filter((part) => part.startsWith(`[${section}]`));
  return readable((): Decoded => decodeIni(own.join(''))).get(section) ?? new Map();
};

const readable = <K, V>(read: () => ReadonlyMap<K, V>): ReadonlyMap<K, V> => {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof Unreadable) return new Map();
    throw cause;
  }
};

import { createHash, timingSafeEqual } from 'node:crypto';
import { readClosedFile } from '../files/closed-file.ts';
import type { Made } from './fresh.ts';
import { isScope, type Scope, scopes } from '../../api/scope.ts';

/** Who may do what over TCP. Holds hashes, never a token. */
export class Tokens {
  readonly #entries: readonly { readonly hash: Buffer; readonly granted: ReadonlySet<Scope> }[];
  constructor(entries: readonly { readonly hash: Buffer; readonly granted: ReadonlySet<Scope> }[]) {
    this.#entries = entries;
  }

  /** Null for a token that is none. Takes as long for one as for the other: every entry is compared, whole. */
  grantedTo(token: string): ReadonlySet<Scope> | null {
    const hash = hashOf(token);
    let found: ReadonlySet<Scope> | null = null;
    for (const entry of this.#entries) if (timingSafeEqual(entry.hash, hash)) found = entry.granted;
    return found;
  }
}

/** Rejects with one sentence that names the file. */
export const tokensFrom = async (path: string): Promise<Made<Tokens>> => {
  const text = await readClosedFile(path);
  try {
    return { digest: hashOf(text).toString('hex'), value: tokensIn(text) };
  } catch (cause) {
    throw new Error(`${path}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
};

const least = 24;
const longest = 512;
const mostTokens = 1_000;
/** As a header can carry it: RFC 6750, b64token. */
const shape = /^[A-Za-z0-9._~+/-]+=*$/;

/**
 * A token a line, `SCOPE TOKEN`, scopes with commas: `operate,secrets 3f…`. Empty lines and lines that begin with # mean nothing.
 * Throws an Error of one sentence that names the line and never what it holds.
 */
const tokensIn = (text: string): Tokens => {
  const entries: { readonly hash: Buffer; readonly granted: ReadonlySet<Scope> }[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const words = line.trim();
    if (words === '' || words.startsWith('#')) continue;
    const entry = entryOf(words, `line ${index + 1}`);
    if (entries.some(({ hash }) => hash.equals(entry.hash)))
      throw new Error(`line ${index + 1} has a token that an earlier line has: give each line its own`);
    entries.push(entry);
  }
  if (entries.length === 0) throw new Error('it holds no token: write lines such as "read TOKEN"');
  if (entries.length > mostTokens) throw new Error(`it holds more than ${mostTokens} tokens`);
  return new Tokens(entries);
};

const entryOf = (words: string, where: string) => {
  const [names = '', token, ...more] = words.split(/\s+/);
  if (token === undefined || more.length > 0)
    throw new Error(`${where} must be a scope and a token, with a space between`);
  const granted = names.split(',');
  if (!granted.every(isScope))
    throw new Error(`${where} must begin with a scope: ${scopes.join(', ')}, or several with commas`);
  if (token.length < least || token.length > longest)
    throw new Error(
      `${where}: a token has ${least} to ${longest} characters, this one ${token.length}; make one with "openssl rand -hex 32"`,
    );
  if (!shape.test(token)) throw new Error(`${where}: a token has letters, digits and - . _ ~ + / only, = at its end`);
  return { hash: hashOf(token), granted: new Set(granted.filter(isScope)) };
};

const hashOf = (token: string): Buffer => createHash('sha256').update(token).digest();

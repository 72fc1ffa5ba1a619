import { Secret } from '../../actors/model/secret.ts';
import { beginningOf, type Input, readBeginning, whyUnreadable } from './bounded-read.ts';

const longestBytes = 1_002;

/** Why there is no password, in one sentence. */
export class NoPassword extends Error {
  override readonly name = 'NoPassword';
}

/** A password from a file, or from `stdin`: one line of UTF-8. Never from an argument, which everybody can read. */
export const passwordFrom = async (source: string | { readonly stdin: Input }): Promise<Secret> => {
  const name = typeof source === 'string' ? source : 'standard input';
  const refuse = (why: string, cause?: unknown): NoPassword =>
    new NoPassword(`cannot read the password from ${name}: ${why}`, { cause });
  const reading =
    typeof source === 'string' ? readBeginning(source, longestBytes) : beginningOf(source.stdin, longestBytes);
  const bytes = await reading.catch((cause: unknown) => {
    throw refuse(whyUnreadable(cause), cause);
  });
  if (bytes.length >= longestBytes) throw refuse('it is longer than 1000 bytes');
  const text = utf8(bytes)?.replace(/\r?\n$/, '');
  if (text === undefined) throw refuse('it is not UTF-8 text');
  if (text === '') throw refuse('it is empty');
  if (/[\0\r\n]/.test(text)) throw refuse('it holds more than one line');
  return new Secret(text);
};

const utf8 = (bytes: Uint8Array): string | undefined => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
};

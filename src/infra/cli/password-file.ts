import { open } from 'node:fs/promises';
import { Secret } from '../../actors/model/secret.ts';
import { codeOf } from '../files/system-error.ts';
import { CliFailure, exit } from './exit.ts';

const longestBytes = 1_002;

/** A password from a file, or from stdin for `-`: one line of UTF-8. Never from an argument, which everybody can read. */
export const passwordFrom = async (file: string, stdin: AsyncIterable<Uint8Array | string>): Promise<Secret> => {
  const name = file === '-' ? 'standard input' : file;
  const refuse = (why: string, cause?: unknown): CliFailure =>
    new CliFailure(exit.usage, `cannot read the password from ${name}: ${why}`, cause);
  const bytes = await (file === '-' ? beginningOf(stdin) : fileBytes(file)).catch((cause: unknown) => {
    throw refuse(reasonOf(cause), cause);
  });
  if (bytes.length >= longestBytes) throw refuse('it is longer than 1000 bytes');
  const text = utf8(bytes)?.replace(/\r?\n$/, '');
  if (text === undefined) throw refuse('it is not UTF-8 text');
  if (text === '') throw refuse('it is empty');
  if (/[\0\r\n]/.test(text)) throw refuse('it holds more than one line');
  return new Secret(text);
};

const fileBytes = async (path: string): Promise<Uint8Array> => {
  await using file = await open(path);
  return await beginningOf(file.createReadStream({ autoClose: false }));
};

/** As much as is needed to know that it is too much. */
const beginningOf = async (stream: AsyncIterable<Uint8Array | string>): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stream) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    chunks.push(bytes);
    length += bytes.length;
    if (length >= longestBytes) break;
  }
  return Buffer.concat(chunks);
};

const utf8 = (bytes: Uint8Array): string | undefined => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
};

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
};
const reasonOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause);
  return reasons[String(codeOf(cause))] ?? cause.message;
};

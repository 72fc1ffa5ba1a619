import { open } from 'node:fs/promises';
import { codeOf } from './system-error.ts';

export type Input = AsyncIterable<Uint8Array | string>;

/** The beginning of a file: as many bytes as are asked for, or a few more. */
export const readBeginning = async (path: string, bytes: number): Promise<Uint8Array> => {
  await using file = await open(path);
  return await beginningOf(file.createReadStream({ autoClose: false }), bytes);
};

/** As much as is needed to know that it is too much. */
export const beginningOf = async (input: Input, bytes: number): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of input) {
    const next = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    chunks.push(next);
    length += next.length;
    if (length >= bytes) break;
  }
  return Buffer.concat(chunks);
};

/** Why a file could not be read, for people. */
export const whyUnreadable = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause);
  return reasons[String(codeOf(cause))] ?? cause.message;
};

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
};

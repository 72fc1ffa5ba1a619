import { open } from 'node:fs/promises';
import { codeOf } from './system-error.ts';

const longestBytes = 256 * 1024;

/** Text of a file that holds a secret. Rejects with one sentence, which names the file, when strangers may read it too. */
export const readClosedFile = async (path: string): Promise<string> => {
  const { text, mode } = await readWithMode(path);
  if ((mode & 0o004) !== 0) throw new Error(`${path}: everybody may read it: close it with "chmod o= ${path}"`);
  return text;
};

/** Text of a file that is no secret, such as a certificate. Rejects as above. */
export const readOpenFile = async (path: string): Promise<string> => (await readWithMode(path)).text;

const readWithMode = async (path: string): Promise<{ readonly text: string; readonly mode: number }> => {
  try {
    await using file = await open(path);
    const { size, mode } = await file.stat();
    if (size > longestBytes) throw new Error(`it has ${size} bytes, more than any file of its kind`);
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(await file.readFile()), mode };
  } catch (cause) {
    throw new Error(`${path}: ${reasonOf(cause)}`, { cause });
  }
};

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'the account that this program runs as may not read it',
  EISDIR: 'it is a directory',
  ERR_ENCODING_INVALID_ENCODED_DATA: 'it is not UTF-8 text',
};

const reasonOf = (cause: unknown): string =>
  reasons[String(codeOf(cause))] ?? (cause instanceof Error ? cause.message : String(cause));

import { readFile } from 'node:fs/promises';
import { codeOf } from '../files/system-error.ts';

/** Null also for a file that we may not read: it is not ours, and is replaced like one that is missing. */
export const readOwn = async (path: string): Promise<string | null> => {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT' || codeOf(cause) === 'EACCES') return null;
    throw cause;
  }
};

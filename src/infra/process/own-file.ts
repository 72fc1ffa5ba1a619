import { constants, readFile } from 'node:fs/promises';
import { codeOf } from '../files/system-error.ts';

/** Null also for one that we may not read, a link, and what is no file: it is not ours, and is replaced like one that is missing. */
export const readOwn = async (path: string): Promise<string | null> => {
  try {
    return await readFile(path, { encoding: 'utf8', flag: O_RDONLY | O_NOFOLLOW | O_NONBLOCK });
  } catch (cause) {
    if (notOurs.has(codeOf(cause))) return null;
    throw cause;
  }
};

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
const notOurs: ReadonlySet<unknown> = new Set(['ENOENT', 'EACCES', 'EISDIR', 'ELOOP', 'ENOTDIR']);

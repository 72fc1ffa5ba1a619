import { readWhole } from '../files/atomic-file.ts';
import { codeOf } from './mark.ts';

/** Null also for a file that we may not read: it is not ours, and is replaced like one that is missing. */
export const readOwn = async (path: string): Promise<string | null> => {
  try {
    return await readWhole(path, maxBytes);
  } catch (cause) {
    if (codeOf(cause) === 'EACCES') return null;
    throw cause;
  }
};

/** Far more than a fleet of any size needs. */
const maxBytes = 64 * 1024 * 1024;

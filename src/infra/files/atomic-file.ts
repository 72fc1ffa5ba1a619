import { copyFile, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Replaces a file so that a reader, and a machine that loses power, sees the old or the new one whole. One writer per path.
 * The mode is exact, whatever the umask and the file before it.
 * `previous`: the name under which what it held before stays, in a file of its own at every moment.
 */
export const writeAtomic = async (
  path: string,
  data: string | Uint8Array,
  mode: number,
  previous: string | null = null,
): Promise<void> => {
  const fresh = `${path}.new`;
  await rm(fresh, { force: true });
  try {
    const file = await open(fresh, 'wx', mode);
    try {
      await file.chmod(mode);
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    if (previous !== null) await keepCopy(path, previous);
    await rename(fresh, path);
  } catch (cause) {
    await rm(fresh, { force: true });
    throw cause;
  }
  await syncDirectory(dirname(path));
};

/** Not synced: what it is copied from is, and stays until the copy is there. Does nothing when there is no such file. */
const keepCopy = async (path: string, name: string): Promise<void> => {
  const fresh = `${name}.new`;
  try {
    await copyFile(path, fresh);
    await rename(fresh, name);
  } catch (cause) {
    if (isMissing(cause)) return;
    await rm(fresh, { force: true });
    throw cause;
  }
};

/** The whole file, or null when there is none. Refuses one that is larger than we would ever write. */
export const readWhole = async (path: string, maxBytes: number): Promise<string | null> => {
  try {
    const { size } = await stat(path);
    if (size > maxBytes) throw new Error(`cannot read ${path}: it has ${size} bytes, more than ${maxBytes}`);
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (isMissing(cause)) return null;
    throw cause;
  }
};

/** Another one after each write; null when there is no such file. Inode numbers are used again, so the time counts too. */
export const identityOf = async (path: string): Promise<string | null> => {
  try {
    const { ino, mtimeNs } = await stat(path, { bigint: true });
    return `${ino} ${mtimeNs}`;
  } catch (cause) {
    if (isMissing(cause)) return null;
    throw cause;
  }
};

/** There is no such file. */
export const isMissing = (cause: unknown): boolean =>
  cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';

/** Makes a rename last through a power loss. */
const syncDirectory = async (path: string): Promise<void> => {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
};

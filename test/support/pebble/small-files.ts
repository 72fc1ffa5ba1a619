/** The files API of the small Pebble: real files of this machine, one result for each path. */
import { randomBytes } from 'node:crypto';
import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  unlink,
  rmdir,
  writeFile,
} from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, matchesGlob } from 'node:path';
import type { Stats } from 'node:fs';
import { accountOf } from './small-account.ts';

export interface FileProblem {
  readonly kind: 'not-found' | 'permission-denied' | 'generic-file-error';
  readonly message: string;
}
export interface PathResult {
  readonly path: string;
  readonly error?: FileProblem;
}
export interface Owned {
  readonly path: string;
  readonly permissions?: string | undefined;
  readonly user?: string | undefined;
}

export const attempt = async (path: string, work: () => Promise<void>): Promise<PathResult> => {
  try {
    if (!isAbsolute(path)) throw new Error(`paths must be absolute, got "${path}"`);
    await work();
    return { path };
  } catch (cause) {
    return { path, error: problemOf(cause) };
  }
};

export const problemOf = (cause: unknown): FileProblem => {
  const message = cause instanceof Error ? cause.message : String(cause);
  const code: unknown = cause instanceof Error ? Reflect.get(cause, 'code') : undefined;
  if (code === 'ENOENT') return { kind: 'not-found', message };
  if (code === 'EACCES' || code === 'EPERM') return { kind: 'permission-denied', message };
  return { kind: 'generic-file-error', message };
};

export const read = async (path: string): Promise<Buffer> => {
  if (!(await stat(path)).isFile()) throw new Error(`can only read a regular file: "${path}"`);
  return readFile(path);
};

export const list = async (path: string, pattern: string | null, itself: boolean): Promise<readonly unknown[]> => {
  const found = await stat(path);
  const paths = found.isDirectory() && !itself ? (await readdir(path)).map((name) => join(path, name)) : [path];
  const wanted = paths.filter((one) => pattern === null || matchesGlob(basename(one), pattern));
  const infos = wanted.toSorted().map(async (one) => infoOf(one, one === path ? found : await lstat(one)));
  return Promise.all(infos);
};

export const write = async (
  file: Owned & { readonly 'make-dirs'?: boolean | undefined },
  content: Buffer,
): Promise<void> => {
  if (file['make-dirs'] === true) await mkdir(dirname(file.path), { recursive: true, mode: 0o755 });
  const fresh = `${file.path}.${randomBytes(6).toString('hex')}~`;
  try {
    await writeFile(fresh, content, { flag: 'wx', mode: 0o600 });
    await own(fresh, file, 0o644);
    await rename(fresh, file.path);
  } catch (cause) {
    await rm(fresh, { force: true });
    throw cause;
  }
};

export const makeDirectory = async (
  directory: Owned & { readonly 'make-parents'?: boolean | undefined },
): Promise<void> => {
  const withParents = directory['make-parents'] === true;
  const first = await mkdir(directory.path, { recursive: withParents });
  // One that was there stays as it is.
  if (withParents && first === undefined) return;
  await own(directory.path, directory, 0o755);
};

export const remove = async (path: string, recursive: boolean): Promise<void> => {
  if (recursive) await rm(path, { recursive: true, force: true });
  else if ((await lstat(path)).isDirectory()) await rmdir(path);
  else await unlink(path);
};

const own = async (path: string, { permissions, user }: Owned, usual: number): Promise<void> => {
  if (permissions !== undefined && !/^[0-7]{3}$/.test(permissions))
    throw new Error(`permissions must be a 3-digit octal string, got "${permissions}"`);
  if (user !== undefined) {
    const account = await accountOf(user);
    if (account === null) throw new Error(`cannot look up user and group: user: unknown user ${user}`);
    await chown(path, account.uid, account.gid);
  }
  await chmod(path, permissions === undefined ? usual : Number.parseInt(permissions, 8));
};

const infoOf = async (path: string, found: Stats): Promise<unknown> => ({
  path,
  name: basename(path),
  type: typeOf(found),
  ...(found.isFile() ? { size: found.size } : {}),
  permissions: (found.mode & 0o777).toString(8).padStart(3, '0'),
  'last-modified': found.mtime.toISOString(),
  'user-id': found.uid,
  user: (await accountOf(String(found.uid)))?.name ?? '',
  'group-id': found.gid,
  group: '',
});

const typeOf = (found: Stats): string => {
  if (found.isFile()) return 'file';
  if (found.isDirectory()) return 'directory';
  if (found.isSymbolicLink()) return 'symlink';
  if (found.isSocket()) return 'socket';
  if (found.isFIFO()) return 'named-pipe';
  return 'device';
};

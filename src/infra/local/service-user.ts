import { execFile } from 'node:child_process';
import { chown, mkdir, mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** An account that servers run as. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/**
 * PostgreSQL and PgBouncer refuse to run as root: for root this is the account named, else `postgres`, else `nobody`.
 * Anybody else runs servers as themselves, because only root can become somebody.
 */
export const serviceAccount = async (wanted?: string): Promise<Account> => {
  const uid = process.getuid?.() ?? 0;
  if (uid !== 0) return { name: (await look(String(uid)))?.name ?? String(uid), uid, gid: process.getgid?.() ?? uid };
  const names = wanted === undefined ? ['postgres', 'nobody'] : [wanted];
  for (const name of names) {
    const account = await look(name);
    if (account !== undefined && account.uid !== 0) return account;
  }
  throw new Error(
    `cannot run servers as ${names.map((name) => `"${name}"`).join(' or ')}: PostgreSQL and PgBouncer need an existing account that is not root; create it or name another one`,
  );
};

/** What `spawn` needs to run something as this account. Only root can, and needs to, change. */
export const spawnIds = ({ uid, gid }: Account): { readonly uid?: number; readonly gid?: number } =>
  process.getuid?.() === 0 ? { uid, gid } : {};

/** A new directory that the account owns and can reach; root's own temporary directory may be closed to it. */
export const createScratch = async (prefix: string, account: Account): Promise<string> => {
  const directory = await mkdtemp(join('/tmp', prefix));
  await chown(directory, account.uid, account.gid);
  return directory;
};

export const createOwnedDirectory = async (directory: string, account: Account): Promise<void> => {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await chown(directory, account.uid, account.gid);
};

const look = async (nameOrUid: string): Promise<Account | undefined> => {
  const line = await promisify(execFile)('getent', ['passwd', nameOrUid]).then(
    ({ stdout }) => stdout,
    () => '', // getent answers "unknown" by its exit code.
  );
  const [name, , uid, gid] = line.trim().split(':');
  return name === undefined || name === '' || uid === undefined || gid === undefined
    ? undefined
    : { name, uid: Number(uid), gid: Number(gid) };
};

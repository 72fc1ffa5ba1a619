import { randomBytes } from 'node:crypto';
import { chown, rename, writeFile } from 'node:fs/promises';
import { Secret } from '../../actors/model/secret.ts';
import type { Account } from './service-user.ts';

/** 192 bits, in characters that need no quoting in an ini, a URL, SQL or a shell. */
export const randomPassword = (): Secret => new Secret(randomBytes(24).toString('base64url'));

/** Readable by the account (and root) only; a reader sees the old or the new text whole. */
export const writeOwned = async (file: string, text: string, { uid, gid }: Account): Promise<void> => {
  const fresh = `${file}.new`;
  await writeFile(fresh, text, { mode: 0o600 });
  await chown(fresh, uid, gid);
  await rename(fresh, file);
};

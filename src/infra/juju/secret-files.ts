import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Secret } from '../../actors/model/secret.ts';

/** Key to value; at least one. Keys are lower-case words of at least three letters or digits, joined by single dashes. */
export type SecretContent = Readonly<Record<string, Secret>>;

/**
 * Runs `use` with arguments that name one file for each value (`key#file=PATH`), since arguments can be read by everybody on the
 * machine. The files are this account's alone, and gone when `use` ends.
 */
export const withSecretFiles = async <T>(
  content: SecretContent,
  use: (args: readonly string[]) => Promise<T>,
): Promise<T> => {
  const faulty = Object.keys(content).find((key) => !secretKey.test(key));
  if (faulty !== undefined) throw new TypeError(`Juju takes no secret with the key "${faulty}"`);
  if (Object.keys(content).length === 0) throw new TypeError('Juju takes no secret without content');
  const directory = await mkdtemp(join(tmpdir(), 'troupe-secret-'));
  try {
    const args = await Promise.all(
      Object.entries(content).map(async ([key, value]) => {
        const path = join(directory, key);
        await writeFile(path, value.reveal(), { mode: 0o600, flag: 'wx' });
        return `${key}#file=${path}`;
      }),
    );
    return await use(args);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
};

const secretKey = /^[a-z](?:-?[a-z0-9]){2,}$/;

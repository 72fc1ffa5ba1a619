import { readdirSync, readFileSync } from 'node:fs';

/**
 * Those of these folders that a PgBouncer runs from, as far as this process can see: in a container its own, and none of
 * the others that share the volume.
 */
export const foldersInUse = (folders: readonly string[]): readonly string[] => {
  const files = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => argumentsOf(pid).filter((argument) => argument.endsWith('.ini')));
  return folders.filter((folder) => files.some((file) => file.startsWith(`${folder}/`)));
};

const argumentsOf = (pid: string): readonly string[] => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return []; // It has ended, or is not ours to see.
  }
};

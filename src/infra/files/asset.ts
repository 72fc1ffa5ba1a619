import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Text of a file that ships beside the code, named by its path under `src/infra`, for instance `redis/scripts/join.lua`.
 * In a bundle the same paths are found in the folder `assets` next to it.
 */
export const asset = (name: string): string => readFileSync(assetPath(name), 'utf8');

export const assetPath = (name: string): string =>
  fileURLToPath(new URL(`${folderOf(import.meta.url)}${name}`, import.meta.url));

/** Told by this module's own address: only the sources keep it under this name. */
export const folderOf = (moduleUrl: string): '../' | './assets/' =>
  moduleUrl.endsWith('/infra/files/asset.ts') ? '../' : './assets/';

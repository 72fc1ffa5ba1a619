import { createWriteStream } from 'node:fs';
import { chmod, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Entry, openPromise } from 'yauzl';
import { archive, architectures, charmInto, ownArchitecture } from '../../scripts/charm-archive.ts';

export interface Packed {
  readonly path: string;
  readonly mode: number;
}

/** As Juju unpacks it, into an empty directory. */
export const unpack = async (charm: string, directory: string): Promise<readonly Packed[]> => {
  const zip = await openPromise(charm);
  const entries: Packed[] = [];
  for await (const entry of zip.eachEntry()) {
    const mode = modeOf(entry);
    entries.push({ path: entry.fileName, mode });
    const path = join(directory, entry.fileName);
    await mkdir(dirname(path), { recursive: true });
    await pipeline(await zip.openReadStreamPromise(entry), createWriteStream(path, { mode: mode & 0o777 }));
    await chmod(path, mode & 0o777);
  }
  return entries;
};
const modeOf = ({ externalFileAttributes }: Entry): number => externalFileAttributes >>> 16;

/** The charm for this machine, packed and unpacked: a directory, beside nothing else. */
export const packedCharmIn = async (directory: string): Promise<string> => {
  const architecture = ownArchitecture();
  if (architecture === undefined) throw new Error(`there is no charm for ${process.arch}: ${architectures.join(', ')}`);
  await charmInto(join(directory, 'made'), architecture);
  await archive(join(directory, 'made'), join(directory, 'packed.charm'), { fast: true });
  await unpack(join(directory, 'packed.charm'), join(directory, 'unpacked'));
  return join(directory, 'unpacked');
};

import type { Rendered, StepOutcome } from '../../actors/model/workload.ts';
import { contentsOf } from '../../pgbouncer/tls.ts';
import { writeAtomic } from '../files/atomic-file.ts';
import { done, refused } from '../instances/outcome.ts';
import { readOwn } from './own-file.ts';
import { privateDirectory } from './places.ts';
import type { Unit } from './unit.ts';

/** What an ini names comes first: it must never be there before them. */
export const write = async (unit: Unit, { authFile, tls, instances }: Rendered): Promise<StepOutcome> => {
  const files: { readonly path: string; readonly text: string }[] = [];
  for (const { id, ini } of instances) {
    const place = unit.instances.find((instance) => instance.id === id)?.place;
    if (place === undefined)
      return refused(`cannot write files for instance ${id}: this unit has ${unit.instances.length}`);
    files.push({ path: place.ini, text: ini });
  }
  await replace(unit.place.authFile, authFile.reveal());
  if (tls !== undefined && tls !== null) {
    await privateDirectory(tls.directory);
    await Promise.all(contentsOf(tls).map(([path, text]) => replace(path, text)));
  }
  await Promise.all(files.map(({ path, text }) => replace(path, text)));
  return done;
};

const replace = async (path: string, text: string): Promise<void> => {
  if ((await readOwn(path)) !== text) await writeAtomic(path, text, 0o400);
};

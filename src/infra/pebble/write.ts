import type { Rendered, StepOutcome } from '../../actors/model/workload.ts';
import { contentsOf } from '../../pgbouncer/tls.ts';
import { refused } from '../instances/outcome.ts';
import { outcomeOf } from './files.ts';
import { replace } from './prepare.ts';
import { ownerOf, type Unit } from './unit.ts';

/** What an ini names comes first: it must never be there before them. */
export const write = async (
  unit: Unit,
  { authFile, tls, instances }: Rendered,
  signal: AbortSignal,
): Promise<StepOutcome> => {
  const files = [{ path: unit.places.authFile, content: authFile.reveal() }];
  if (tls !== undefined && tls !== null) {
    const directory = { path: tls.directory, withParents: true, permissions: '700', ...ownerOf(unit) };
    const made = outcomeOf('write the certificate', await unit.pebble.makeDirectories([directory], signal));
    if (made.kind !== 'done') return made;
    files.push(...contentsOf(tls).map(([path, content]) => ({ path, content })));
  }
  for (const { id, ini } of instances) {
    const place = unit.instances.find((instance) => instance.id === id)?.place;
    if (place === undefined)
      return refused(`cannot write files for instance ${id}: this unit has ${unit.instances.length}`);
    files.push({ path: place.ini, content: ini });
  }
  return replace(unit, 'write the files of the instances', files, signal);
};

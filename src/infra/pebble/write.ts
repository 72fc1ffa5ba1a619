import type { Rendered, StepOutcome } from '../../actors/model/workload.ts';
import { refused } from '../instances/outcome.ts';
import { replace } from './prepare.ts';
import type { Unit } from './unit.ts';

/** The auth file first: an ini that names users must never be there before them. */
export const write = async (
  unit: Unit,
  { authFile, instances }: Rendered,
  signal: AbortSignal,
): Promise<StepOutcome> => {
  const files = [{ path: unit.places.authFile, content: authFile.reveal() }];
  for (const { id, ini } of instances) {
    const place = unit.instances.find((instance) => instance.id === id)?.place;
    if (place === undefined)
      return refused(`cannot write files for instance ${id}: this unit has ${unit.instances.length}`);
    files.push({ path: place.ini, content: ini });
  }
  return replace(unit, 'write the files of the instances', files, signal);
};

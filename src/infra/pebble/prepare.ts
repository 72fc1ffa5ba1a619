import type { StepOutcome } from '../../actors/model/workload.ts';
import { outcomeOf, textOf } from './files.ts';
import { rulesOf } from './logins.ts';
import { directoriesOf } from './places.ts';
import { ownerOf, type Unit } from './unit.ts';

/** Makes what is missing, for the account of the instances only: with the container all of it may have gone. */
export const prepare = async (unit: Unit, signal: AbortSignal): Promise<StepOutcome> => {
  const { pebble, places, instances } = unit;
  const directories = directoriesOf(
    places,
    instances.map(({ id }) => id),
    ownerOf(unit),
  );
  const made = outcomeOf('make the directories of the instances', await pebble.makeDirectories(directories, signal));
  if (made.kind !== 'done') return made;
  const logins = await unit.logins(signal);
  return replace(unit, 'write the rules of the consoles', [{ path: places.rules, content: rulesOf(logins) }], signal);
};

/** Only files that differ, each of them whole, in this order. */
export const replace = async (
  unit: Unit,
  step: string,
  files: readonly { readonly path: string; readonly content: string }[],
  signal: AbortSignal,
): Promise<StepOutcome> => {
  const before = await unit.pebble.readFiles(
    files.map(({ path }) => path),
    signal,
  );
  const different = files.filter(({ content }, index) => textOf(before[index]) !== content);
  const owned = different.map((file) => ({ ...file, permissions: '400', ...ownerOf(unit) }));
  return outcomeOf(step, await unit.pebble.writeFiles(owned, signal));
};

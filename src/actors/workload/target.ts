import type { Published } from '../model/fleet-spec.ts';
import type { UnitName } from '../model/ids.ts';
import type { WorkloadState } from './state.ts';

/** What we heard and can prove; else what we verified last; else nothing yet. */
export const targetOf = (
  self: UnitName,
  { wanted, refused, verified, recalled, heard }: WorkloadState,
): Published | null => {
  // Without a share of the budget nothing may be served; the next generation counts this unit in.
  if (wanted === null || !wanted.spec.slots.some(({ unit }) => unit === self)) return null;
  if (!heard && !recalled.known) return null;
  if (refused?.generation !== wanted.generation) return wanted;
  return verified ?? (recalled.known && recalled.value?.generation !== wanted.generation ? recalled.value : null);
};

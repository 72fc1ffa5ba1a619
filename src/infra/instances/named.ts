import type { Step, StepOutcome } from '../../actors/model/workload.ts';
import { done, refused } from './outcome.ts';

/** Acts on the instances that a step names. It is refused when this unit does not have one of them, and done when it names none. */
export const onNamed = async <I extends { readonly id: number }>(
  type: Step['type'],
  ids: readonly number[],
  instances: readonly I[],
  act: (named: readonly I[]) => Promise<StepOutcome>,
): Promise<StepOutcome> => {
  const stranger = ids.find((id) => instances.every((instance) => instance.id !== id));
  if (stranger !== undefined) return refused(`cannot ${type} instance ${stranger}: this unit has ${instances.length}`);
  return ids.length === 0 ? done : act(instances.filter(({ id }) => ids.includes(id)));
};

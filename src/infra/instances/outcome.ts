import type { Obstacle, StepOutcome } from '../../actors/model/workload.ts';

export const done: StepOutcome = { kind: 'done' };
export const refused = (reason: string): StepOutcome => ({ kind: 'refused', reason });
export const failed = (reason: string, obstacle?: Obstacle): StepOutcome => ({
  kind: 'failed',
  reason,
  ...(obstacle === undefined ? {} : { obstacle }),
});

/** One outcome for a step taken by several instances. What cannot work says more than what did not work this time. */
export const together = (outcomes: readonly StepOutcome[]): StepOutcome => {
  const reasonsOf = (kind: 'refused' | 'failed'): readonly string[] => [
    ...new Set(outcomes.flatMap((outcome) => (outcome.kind === kind ? [outcome.reason] : []))),
  ];
  const [refusals, failures] = [reasonsOf('refused'), reasonsOf('failed')];
  if (refusals.length > 0) return refused(refusals.join('; '));
  const obstacle = outcomes.find((outcome) => outcome.kind === 'failed' && outcome.obstacle !== undefined);
  return failures.length > 0
    ? failed(failures.join('; '), obstacle?.kind === 'failed' ? obstacle.obstacle : undefined)
    : done;
};

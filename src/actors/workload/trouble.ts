import type { StepOutcome } from '../model/workload.ts';
import type { WorkloadState } from './state.ts';

/** Short enough that what has been mended is noticed while whoever mended it still looks. */
const longestBackOffMs = 2_000;

export const backOff = (
  state: WorkloadState,
  outcome: Exclude<StepOutcome, { readonly kind: 'done' }>,
  now: number,
): WorkloadState => {
  const attempt = (state.trouble?.attempt ?? 0) + 1;
  const obstacle = outcome.kind === 'failed' ? (outcome.obstacle ?? null) : null;
  return {
    ...state,
    trouble: {
      reason: outcome.reason,
      obstacle,
      attempt,
      retryAt: now + Math.min(250 * 2 ** (attempt - 1), longestBackOffMs),
    },
  };
};

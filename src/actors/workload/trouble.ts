import type { WorkloadState } from './state.ts';

const longestBackOffMs = 15_000;
export const backOff = (state: WorkloadState, reason: string, now: number): WorkloadState => {
  const attempt = (state.trouble?.attempt ?? 0) + 1;
  return {
    ...state,
    trouble: { reason, attempt, retryAt: now + Math.min(250 * 2 ** (attempt - 1), longestBackOffMs) },
  };
};

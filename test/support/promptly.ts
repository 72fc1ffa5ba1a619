import { expect } from 'vitest';

/** What the work gave, one time of three within the limit: a machine that stood still meanwhile says nothing about the code. */
export const promptly = async <T>(limitMs: number, work: () => Promise<T>): Promise<T> => {
  for (let turn = 1; ; turn += 1) {
    const began = performance.now();
    const given = await work();
    const ms = performance.now() - began;
    if (ms > limitMs && turn < 3) continue;
    expect(ms).toBeLessThanOrEqual(limitMs);
    return given;
  }
};

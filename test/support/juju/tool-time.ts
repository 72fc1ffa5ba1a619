import type { ToolCallRecord } from './hook-record.ts';

/**
 * How much of a dispatch was spent in hook tools, in ms: from the start of the first of some that overlap to the answer of the last.
 * `startMs` is what it takes to start one, which nobody sees from the other end of its socket.
 */
export const toolTimeOf = (calls: readonly Pick<ToolCallRecord, 'askedAtMs' | 'tookMs'>[], startMs: number): number => {
  let total = 0;
  let until = 0;
  for (const { askedAtMs, tookMs } of calls.toSorted((a, b) => a.askedAtMs - b.askedAtMs)) {
    const from = Math.max(until, askedAtMs - startMs);
    const to = askedAtMs + tookMs;
    total += Math.max(0, to - from);
    until = Math.max(until, to);
  }
  return total;
};

import type { WallMs } from '../../src/actors/model/ids.ts';
import type { Clock } from '../../src/actors/ports/clock.ts';

/** Time that does not make anybody wait: what is to happen after a while happens at once, and it is later then. What only ends something
 * that takes too long rings when it really does. */
export const createHurriedClock = (longestPauseMs: number): Clock => {
  let skipped = 0;
  const now = (): number => performance.now() + skipped;
  return {
    now,
    wall: () => Math.round(Date.UTC(2026, 0, 1) + now()) as WallMs,
    after: (ms, call) => {
      const isPause = ms <= longestPauseMs;
      const ring = (): void => {
        if (isPause) skipped += ms;
        call();
      };
      const timer = setTimeout(ring, isPause ? 1 : ms);
      return { [Symbol.dispose]: () => clearTimeout(timer) };
    },
  };
};

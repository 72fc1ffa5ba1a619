import type { WallMs } from '../../actors/model/ids.ts';
import type { Clock } from '../../actors/ports/clock.ts';

export const createSystemClock = (): Clock => ({
  now: () => performance.now(),
  wall: () => Date.now() as WallMs,
  after: (ms, call) => {
    // Node's timers count whole milliseconds and may ring up to one too early; beyond the longest they would ring at once.
    const timer = setTimeout(call, Math.min(Math.ceil(ms) + 1, longestMs));
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
});

const longestMs = 2 ** 31 - 1;

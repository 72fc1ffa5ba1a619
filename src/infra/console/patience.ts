import type { Clock } from '../../actors/ports/clock.ts';

const slices = 10;

/**
 * Calls back when `ms` have passed in which this process was able to listen. A coordinator that was frozen for a minute and goes
 * on must not take the minute for the other side's silence: its answer may lie in the socket, unread.
 */
export const afterListening = (clock: Clock, ms: number, call: () => void): Disposable => {
  const sliceMs = ms / slices;
  let left = slices;
  let heardAt = clock.now();
  let timer = clock.after(sliceMs, listened);
  return { [Symbol.dispose]: () => timer[Symbol.dispose]() };

  function listened(): void {
    const now = clock.now();
    const wasFrozen = now - heardAt > ms;
    heardAt = now;
    left = wasFrozen ? slices : left - 1;
    if (left === 0) call();
    else timer = clock.after(sliceMs, listened);
  }
};

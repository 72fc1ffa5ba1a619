import type { Clock } from '../ports/clock.ts';

/**
 * Calls back every `everyMs` until disposed, on the beat of its start: a late tick does not delay those after it, and beats that
 * passed meanwhile (a stopped process, a long turn) are skipped, not made up for.
 */
export const startTicker = (clock: Clock, everyMs: number, tick: () => void): Disposable => {
  let due = clock.now() + everyMs;
  let disposed = false;
  const ring = (): void => {
    tick();
    if (disposed) return;
    const now = clock.now();
    due += everyMs * Math.max(1, Math.ceil((now - due) / everyMs));
    timer = clock.after(due - now, ring);
  };
  let timer = clock.after(everyMs, ring);
  return {
    [Symbol.dispose]: () => {
      disposed = true;
      timer[Symbol.dispose]();
    },
  };
};

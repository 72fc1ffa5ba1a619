import type { Clock } from '../../actors/ports/clock.ts';

/** Milliseconds. */
export interface Patience {
  /** For a console. PgBouncer has one thread: a storm of logins keeps it busy for a while and is no reason to kill it. */
  readonly answer: number;
  readonly pause: number;
  readonly start: number;
  readonly prove: number;
}

export const defaultPatience: Patience = { answer: 2_000, pause: 5_000, start: 10_000, prove: 5_000 };

export const wait = (clock: Clock, ms: number): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>();
  clock.after(ms, resolve);
  return promise;
};

/**
 * SIGTERM and SIGINT: hand over, drain, stop the instances; a second one does not wait any longer. SIGHUP: hand over, and leave the
 * instances running. Heard from the first moment of a unit on: those that come before it can act on them are kept: by
 * themselves they would end the coordinator and leave its PgBouncers, with their clients, to nobody.
 */
export type Told = { readonly type: 'stop' } | { readonly type: 'handOver' };

/**
 * A start that takes longer waits for something, the store for instance, and has nothing that could be drained: the unit whose PgBouncers
 * live on beside it begins without the store.
 */
const patienceMs = 6_000;

export interface Signals {
  /** From now on `say` hears them, and at once those that were kept. */
  listen(say: (told: Told) => void): Disposable;
}

/** As a shell says of a process that SIGTERM ended: nothing was drained. */
const exitUndrained = 143;
const undrained =
  'told to end before this unit had begun: nothing was drained, and PgBouncers that an earlier coordinator left serve on; start the unit and stop it to end them';

/** `complain` is told why the process ends, when a signal ends it before anybody listens. */
export const keepSignals = (complain: (sentence: string) => void): Signals => {
  const kept: Told[] = [];
  let last: Told['type'] | null = null;
  let heardBy: ((told: Told) => void) | null = null;
  const endUndrained = (): never => {
    complain(undrained);
    process.exit(exitUndrained);
  };
  const come = (told: Told): void => {
    if (heardBy !== null) return heardBy(told);
    if (told.type === 'stop' && kept.some(({ type }) => type === 'stop')) endUndrained(); // A second one does not wait.
    kept.push(told);
    setTimeout(() => heardBy === null && endUndrained(), patienceMs).unref();
  };
  const stop = (): void => come({ type: 'stop' });
  process
    .on('SIGTERM', stop)
    .on('SIGINT', stop)
    .on('SIGHUP', () => come({ type: 'handOver' }));
  return {
    listen: (say) => {
      heardBy = (told) => {
        last = told.type;
        say(told);
      };
      for (const told of kept.splice(0)) heardBy(told);
      // Who has handed over leaves what runs to a successor, and that one has to hear of it.
      const tooLate = ({ type }: Told): void => {
        if (type === 'stop' && last === 'handOver') process.once('exit', () => (process.exitCode = exitUndrained));
      };
      return { [Symbol.dispose]: () => void (heardBy = tooLate) };
    },
  };
};

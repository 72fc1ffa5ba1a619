import type { Clock } from '../../actors/ports/clock.ts';

/**
 * Keeps one thing per key until it is wanted again. Who takes it has it alone, so that it is never used twice at a time.
 * What nobody comes for is disposed of.
 */
export interface Shelf<T extends AsyncDisposable> extends AsyncDisposable {
  take(key: string): T | undefined;
  put(key: string, thing: T): Promise<void>;
}

export const createShelf = <T extends AsyncDisposable>(clock: Clock, idleMs: number): Shelf<T> => {
  const kept = new Map<string, { readonly thing: T; readonly idle: Disposable }>();
  let isClosed = false;
  const take = (key: string): T | undefined => {
    const entry = kept.get(key);
    kept.delete(key);
    entry?.idle[Symbol.dispose]();
    return entry?.thing;
  };
  const put = async (key: string, thing: T): Promise<void> => {
    if (isClosed || kept.has(key)) return thing[Symbol.asyncDispose]();
    const idle = clock.after(idleMs, () => void take(key)?.[Symbol.asyncDispose]());
    kept.set(key, { thing, idle });
  };
  return {
    take,
    put,
    [Symbol.asyncDispose]: async () => {
      isClosed = true;
      await Promise.all([...kept.keys()].map(async (key) => take(key)?.[Symbol.asyncDispose]()));
    },
  };
};

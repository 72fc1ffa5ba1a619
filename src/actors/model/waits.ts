/**
 * What a unit lacks. `id` is stable (documented, tested); `message` says what, which, why and what to do;
 * `since` is monotonic ms (the program shows it as wall-clock time); `on` names who can end it.
 * `blocked` needs a person; `waiting` ends by itself when the missing fact arrives.
 */
export interface Wait {
  readonly id: string;
  readonly kind: 'waiting' | 'blocked';
  readonly message: string;
  readonly since: number;
  readonly on: string;
}

/** A wait before it is known how long it has lasted. */
export type Lack = Omit<Wait, 'since'>;

/** Keeps `since` of lacks that were there before, and starts it for new ones. The order is that of `lacks`. */
export const waitsOf = (before: readonly Wait[], lacks: readonly Lack[], now: number): readonly Wait[] => {
  const next = lacks.map((lack) => ({ ...lack, since: before.find((wait) => wait.id === lack.id)?.since ?? now }));
  return sameWaits(before, next) ? before : next;
};

const sameWaits = (a: readonly Wait[], b: readonly Wait[]): boolean =>
  a.length === b.length &&
  a.every((wait, index) => {
    const other = b[index];
    return (
      other !== undefined &&
      wait.id === other.id &&
      wait.kind === other.kind &&
      wait.message === other.message &&
      wait.on === other.on
    );
  });

export type StatusWord = 'active' | 'waiting' | 'blocked' | 'maintenance' | 'down' | 'unknown';

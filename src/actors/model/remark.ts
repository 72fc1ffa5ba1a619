/** What a person should know of a unit that serves all the same. Ids are as stable as those of waits. */
export interface Remark {
  readonly id: string;
  readonly message: string;
  /** Monotonic ms. */
  readonly since: number;
}

/** What was found; with its instant where it has one. */
export type Finding = Omit<Remark, 'since'> & { readonly since?: number };

/** Keeps `since` of what was remarked before, by id and message. The order is that of `found`. */
export const remarksOf = (before: readonly Remark[], found: readonly Finding[], now: number): readonly Remark[] =>
  found.map((remark) => ({
    ...remark,
    since:
      remark.since ?? before.find(({ id, message }) => id === remark.id && message === remark.message)?.since ?? now,
  }));

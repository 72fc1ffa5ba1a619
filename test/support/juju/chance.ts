import { Random } from '../../../src/actors/kit/random.ts';

/**
 * What is left to chance in a model, each thing by its name: what happens does not change because something else was asked about
 * before, or because a hook had to be run again.
 */
export class Chance {
  readonly #seed: number;
  #turn = 0;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Another draw for everything. */
  turn(): void {
    this.#turn += 1;
  }

  /** Every draw is again what it is now, once what is returned is called. */
  keep(): () => void {
    const turn = this.#turn;
    return () => {
      this.#turn = turn;
    };
  }

  /** From 0 up to, and without, 1. */
  of(name: string): number {
    let mixed = this.#seed ^ Math.imul(this.#turn, 0x9e3779b1);
    for (const letter of name) mixed = Math.imul(mixed ^ (letter.codePointAt(0) ?? 0), 0x01000193);
    return new Random(mixed).next();
  }

  below(limit: number, name: string): number {
    return Math.floor(this.of(name) * limit);
  }

  /** In any order. */
  shuffled<T>(items: Iterable<T>, nameOf: (item: T) => string): readonly T[] {
    return [...items]
      .map((item) => ({ item, at: this.of(nameOf(item)) }))
      .toSorted((a, b) => a.at - b.at)
      .map(({ item }) => item);
  }
}

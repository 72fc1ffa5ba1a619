/** Hints from the connection to whoever listens: one for each time that somebody has looked since. */
export class HintLine {
  readonly #listeners = new Set<() => void>();
  #told = false;

  ring(): void {
    if (this.#told) return;
    this.#told = true;
    for (const listener of this.#listeners) listener();
  }
  lookedAt(): void {
    this.#told = false;
  }
  listen(hint: () => void): Disposable {
    this.#listeners.add(hint);
    return { [Symbol.dispose]: () => this.#listeners.delete(hint) };
  }
  end(): void {
    this.#listeners.clear();
  }
}

/** Hints from the connection to whoever listens: to each listener one, until somebody has looked. */
export class HintLine {
  readonly #listeners = new Map<() => void, 'waiting' | 'told'>();

  ring(): void {
    for (const [listener, state] of this.#listeners) {
      if (state === 'told') continue;
      this.#listeners.set(listener, 'told');
      listener();
    }
  }
  lookedAt(): void {
    for (const listener of this.#listeners.keys()) this.#listeners.set(listener, 'waiting');
  }
  listen(hint: () => void): Disposable {
    const listener = (): void => hint();
    this.#listeners.set(listener, 'waiting');
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }
  end(): void {
    this.#listeners.clear();
  }
}

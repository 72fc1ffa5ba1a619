/**
 * A value that must not be shown: it prints as `[secret]` in JSON, templates and inspection.
 * Only the place that truly needs the text calls `reveal`.
 */
export class Secret {
  readonly #text: string;
  constructor(text: string) {
    this.#text = text;
  }
  reveal(): string {
    return this.#text;
  }
  equals(other: Secret): boolean {
    return this.#text === other.#text;
  }
  toJSON(): string {
    return '[secret]';
  }
  toString(): string {
    return '[secret]';
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[secret]';
  }
}

/** Something made of files, and a digest of what it was made of. */
export interface Made<T> {
  readonly digest: string;
  readonly value: T;
}

const everyMs = 2_000;

/**
 * Something made of files that may change under a running program. It is looked at again and again: what a new content makes is
 * adopted; what cannot be made of it leaves the old one in use, and says why until it is mended.
 */
export class Fresh<T> implements Disposable {
  readonly #make: () => Promise<Made<T>>;
  readonly #changed: (value: T, trouble: string | null) => void;
  readonly #timer: NodeJS.Timeout;
  #made: Made<T>;
  #trouble: string | null = null;
  /** As the last look found it. Told when the next one finds the same: files that belong together are not written at once. */
  #found: string | null = null;
  #looking = false;

  /** Rejects when nothing can be made at first. `changed` hears each new value, and each new trouble or its end. */
  static async of<T>(
    make: () => Promise<Made<T>>,
    changed: (value: T, trouble: string | null) => void,
    lookMs = everyMs,
  ): Promise<Fresh<T>> {
    return new Fresh(await make(), make, changed, lookMs);
  }

  private constructor(
    first: Made<T>,
    make: () => Promise<Made<T>>,
    changed: (value: T, trouble: string | null) => void,
    lookMs: number,
  ) {
    this.#made = first;
    this.#make = make;
    this.#changed = changed;
    this.#timer = setInterval(() => void this.#look(), lookMs).unref();
  }

  get value(): T {
    return this.#made.value;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    const before = { digest: this.#made.digest, trouble: this.#trouble };
    try {
      const made = await this.#make();
      if (made.digest !== this.#made.digest) this.#made = made;
      this.#found = this.#trouble = null;
    } catch (cause) {
      const found = cause instanceof Error ? cause.message : String(cause);
      if (found === this.#found) this.#trouble = found;
      this.#found = found;
    }
    this.#looking = false;
    if (this.#made.digest !== before.digest || this.#trouble !== before.trouble)
      this.#changed(this.#made.value, this.#trouble);
  }
}

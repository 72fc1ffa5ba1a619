import { setTimeout as delay } from 'node:timers/promises';
import type { ServerProcess } from './server-process.ts';

/** Something that runs and can be started again. */
export interface Kept {
  readonly process: ServerProcess;
  stop(): Promise<void>;
}

export interface KeeperOptions {
  readonly name: string;
  /** Between an end and the next start. */
  readonly againMs: number;
  /** Takes a sentence for people. */
  readonly say: (sentence: string) => void;
}

/** Starts something, and starts it again some time after it has ended, until it is stopped. */
export class Keeper<T extends Kept> {
  readonly #options: KeeperOptions;
  readonly #start: () => Promise<T>;
  readonly #stopping = new AbortController();
  #current: T;
  readonly #watch: Promise<void>;

  private constructor(options: KeeperOptions, start: () => Promise<T>, first: T) {
    this.#options = options;
    this.#start = start;
    this.#current = first;
    this.#watch = this.#keep();
  }

  static async of<T extends Kept>(options: KeeperOptions, start: () => Promise<T>): Promise<Keeper<T>> {
    return new Keeper(options, start, await start());
  }

  /** What runs, or ran last. */
  get current(): T {
    return this.#current;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#watch;
    await this.#current.stop();
  }

  async #keep(): Promise<void> {
    const { name, say } = this.#options;
    const told = new Promise<null>((resolve) => {
      this.#stopping.signal.addEventListener('abort', () => resolve(null), { once: true });
    });
    for (;;) {
      const fate = await Promise.race([this.#current.process.ended, told]);
      if (fate === null || this.#stopping.signal.aborted) return;
      say(`${name} ${fate}; it is started again in ${this.#options.againMs / 1_000} s`);
      if (!(await this.#startAgain())) return;
      say(`${name} runs again`);
    }
  }

  /** Tries until it runs; false when it was told to stop. */
  async #startAgain(): Promise<boolean> {
    const { name, againMs, say } = this.#options;
    for (;;) {
      try {
        await delay(againMs, undefined, { signal: this.#stopping.signal });
      } catch {
        return false; // Told to stop: that is the only way for this delay to fail.
      }
      try {
        this.#current = await this.#start();
        return true;
      } catch (cause) {
        say(
          `cannot start ${name} again: ${cause instanceof Error ? cause.message : String(cause)}; next try in ${againMs / 1_000} s`,
        );
      }
    }
  }
}

import type { FleetStatus } from '../../src/actors/model/status.ts';
import type { ApiClient } from '../../src/infra/cli/api-client.ts';

/** The status of one unit as it streams, and waiting for what it will say. */
export class Watch implements Disposable {
  readonly #over = new AbortController();
  readonly #waiting = new Set<() => void>();
  readonly #onStatus: (status: FleetStatus) => void;
  #latest: FleetStatus | null = null;
  #trouble = 'it has not answered yet';

  constructor(client: ApiClient, onStatus: (status: FleetStatus) => void = () => {}) {
    this.#onStatus = onStatus;
    this.#follow(client).catch((cause: unknown) => {
      this.#trouble = String(cause);
    });
  }

  get latest(): FleetStatus | null {
    return this.#latest;
  }

  /** Resolves with the first status for which this holds; the latest one counts. */
  until(holds: (status: FleetStatus) => boolean, withinMs = 60_000): Promise<FleetStatus> {
    const { promise, resolve, reject } = Promise.withResolvers<FleetStatus>();
    const late = setTimeout(() => {
      this.#waiting.delete(look);
      const seen = this.#latest === null ? this.#trouble : JSON.stringify(this.#latest, null, 1);
      reject(new Error(`it did not come to pass within ${withinMs} ms: ${holds.toString()}\nlast seen: ${seen}`));
    }, withinMs);
    const look = (): void => {
      if (this.#latest === null || !holds(this.#latest)) return;
      clearTimeout(late);
      this.#waiting.delete(look);
      resolve(this.#latest);
    };
    this.#waiting.add(look);
    look();
    return promise;
  }

  [Symbol.dispose](): void {
    this.#over.abort();
  }

  async #follow(client: ApiClient): Promise<void> {
    const away = (reason: string): void => {
      this.#trouble = reason;
    };
    for await (const status of client.statuses(this.#over.signal, away)) {
      this.#latest = status;
      this.#onStatus(status);
      for (const look of this.#waiting) look();
    }
  }
}

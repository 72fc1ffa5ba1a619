/**
 * Where lines of services are sent, as Pebble sends them to Loki: together, a moment after the first. What was not taken is kept for
 * the next time. Like Pebble's own it goes on sending where it was first told to, whatever the plan says later.
 */
import type { LogTargetConfig } from './small-layer.ts';
import type { LogLine } from './small-service.ts';

export class SmallLogTarget {
  readonly #location: string;
  #config: LogTargetConfig;
  #waiting: LogLine[] = [];
  #timer: NodeJS.Timeout | undefined;
  readonly #stop = new AbortController();

  constructor(config: LogTargetConfig) {
    this.#location = config.location ?? '';
    this.#config = config;
  }

  set config(config: LogTargetConfig) {
    this.#config = config;
  }

  note(line: LogLine): void {
    if (!takes(this.#config.services ?? [], line.service)) return;
    this.#waiting = [...this.#waiting, line].slice(-mostLines);
    this.#timer ??= setTimeout(() => void this.#flush(), flushMs);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#stop.abort();
  }

  async #flush(): Promise<void> {
    this.#timer = undefined;
    const sent = this.#waiting;
    const services = [...Map.groupBy(sent, ({ service }) => service)];
    const streams = services.map(([service, lines]) => ({
      stream: { ...this.#config.labels, pebble_service: service },
      values: lines.map(({ time, message }) => [`${Date.parse(time)}000000`, message]),
    }));
    const taken = await fetch(this.#location, {
      method: 'POST',
      headers: { 'content-type': 'application/json; charset=utf-8' },
      body: JSON.stringify({ streams }),
      signal: this.#stop.signal,
    }).then(
      ({ status }) => status < 500 && status !== 429,
      () => false,
    );
    if (taken) this.#waiting = this.#waiting.filter((line) => !sent.includes(line));
  }
}

const flushMs = 1_000;
const mostLines = 100;

/** The last word that is about a service decides. */
const takes = (words: readonly string[], service: string): boolean => {
  const word = words.findLast((one) => ['all', '-all', service, `-${service}`].includes(one));
  return word !== undefined && !word.startsWith('-');
};

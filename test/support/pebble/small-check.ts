/** A check by TCP, made again and again: `down` after as many failures in a row as its threshold. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { type CheckConfig, durationMs } from './small-layer.ts';

export class SmallCheck {
  readonly name: string;
  readonly config: CheckConfig;
  #failures = 0;
  readonly #timer: NodeJS.Timeout;

  readonly #turns: (turned: 'down' | 'up') => void;

  /** `turns` hears when it is down, and when it is up again. */
  constructor(name: string, config: CheckConfig, turns: (turned: 'down' | 'up') => void) {
    this.name = name;
    this.config = config;
    this.#turns = turns;
    this.#timer = setInterval(() => void this.#look(), durationMs(config.period ?? '10s'));
  }

  get isDown(): boolean {
    return this.#failures >= this.#threshold;
  }

  get #threshold(): number {
    return this.config.threshold ?? 3;
  }

  get info(): unknown {
    const threshold = this.#threshold;
    return {
      name: this.name,
      ...(this.config.level === undefined ? {} : { level: this.config.level }),
      startup: this.config.startup ?? 'enabled',
      status: this.isDown ? 'down' : 'up',
      failures: this.#failures,
      threshold,
    };
  }

  end(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const { host = 'localhost', port } = this.config.tcp;
    const socket = connect({ host, port });
    const signal = AbortSignal.timeout(durationMs(this.config.timeout ?? '3s'));
    try {
      await once(socket, 'connect', { signal });
      const wasDown = this.isDown;
      this.#failures = 0;
      if (wasDown) this.#turns('up');
    } catch {
      this.#failures += 1;
      if (this.#failures === this.#threshold) this.#turns('down');
    } finally {
      socket.destroy();
    }
  }
}

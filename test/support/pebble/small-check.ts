/** A check by TCP, made again and again: `down` after as many failures in a row as its threshold. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { type CheckConfig, durationMs } from './small-layer.ts';

export class SmallCheck {
  readonly name: string;
  readonly config: CheckConfig;
  #failures = 0;
  readonly #timer: NodeJS.Timeout;

  constructor(name: string, config: CheckConfig) {
    this.name = name;
    this.config = config;
    this.#timer = setInterval(() => void this.#look(), durationMs(config.period ?? '10s'));
  }

  get info(): unknown {
    const threshold = this.config.threshold ?? 3;
    return {
      name: this.name,
      ...(this.config.level === undefined ? {} : { level: this.config.level }),
      startup: this.config.startup ?? 'enabled',
      status: this.#failures >= threshold ? 'down' : 'up',
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
      this.#failures = 0;
    } catch {
      this.#failures += 1;
    } finally {
      socket.destroy();
    }
  }
}

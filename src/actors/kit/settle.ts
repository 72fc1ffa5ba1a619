import type { Clock } from '../ports/clock.ts';
import type { Name } from './behaviour.ts';

/** `stuck`: what was still under way when the time was over. */
export type Settled = { readonly kind: 'quiet' } | ({ readonly kind: 'stuck' } & Underway);
export interface Underway {
  readonly effects: readonly { readonly actor: string; readonly type: string; readonly forMs: number }[];
  readonly messages: number;
}

/** An effect in flight; disposed when it has ended, however it ended. Its signal is its own: one for all would collect listeners. */
export interface Flight extends Disposable {
  readonly signal: AbortSignal;
}
interface InFlight {
  readonly actor: string;
  readonly type: string;
  readonly since: number;
  readonly aborting: AbortController;
}

/** Counts what is under way: messages in mailboxes and effects in flight. Timers and subscriptions are none of it. */
export class Activity {
  readonly #clock: Clock;
  #messages = 0;
  readonly #mailboxes = new Map<Name, number>();
  readonly #effects = new Set<InFlight>();
  #aborted = false;
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  sent(to: Name): void {
    this.#messages += 1;
    this.#mailboxes.set(to, (this.#mailboxes.get(to) ?? 0) + 1);
  }

  handled(by: Name): void {
    const count = this.#mailboxes.get(by);
    if (count === undefined) return; // It stopped over this message.
    this.#messages -= 1;
    this.#mailboxes.set(by, count - 1);
    this.#changed();
  }

  /** The mailbox of an actor that stopped: nobody will handle what is in it. */
  dropped(of: Name): void {
    this.#messages -= this.#mailboxes.get(of) ?? 0;
    this.#mailboxes.delete(of);
    this.#changed();
  }

  started(actor: string, type: string): Flight {
    const effect = { actor, type, since: this.#clock.now(), aborting: new AbortController() };
    this.#effects.add(effect);
    if (this.#aborted) effect.aborting.abort();
    const ended = (): void => {
      this.#effects.delete(effect);
      this.#changed();
    };
    return { signal: effect.aborting.signal, [Symbol.dispose]: ended };
  }

  abort(): void {
    this.#aborted = true;
    for (const { aborting } of this.#effects) aborting.abort();
  }

  async settle(deadlineMs: number): Promise<Settled> {
    const { promise, resolve } = Promise.withResolvers<Settled>();
    using _deadline = this.#clock.after(deadlineMs, () => resolve(this.#stuck()));
    const quiet = (): void => resolve({ kind: 'quiet' });
    this.#waiting.add(quiet);
    this.#changed();
    const settled = await promise;
    this.#waiting.delete(quiet);
    return settled;
  }

  quiet(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    this.#changed();
    return promise;
  }

  #changed(): void {
    if (this.#waiting.size === 0 || this.#effects.size > 0 || this.#messages > 0) return;
    for (const quiet of this.#waiting) quiet();
    this.#waiting.clear();
  }

  #stuck(): Settled {
    const now = this.#clock.now();
    const effects = [...this.#effects].map(({ actor, type, since }) => ({ actor, type, forMs: now - since }));
    return { kind: 'stuck', effects, messages: this.#messages };
  }
}

import type { WallMs } from '../model/ids.ts';
import type { Clock } from '../ports/clock.ts';

interface Timer {
  readonly at: number;
  readonly call: () => void;
}

/** Time that passes only when told to. Timers ring in the order of their time, those of one instant in the order they were set. */
export class SimulatedClock implements Clock {
  #now = 0;
  readonly #wallAtStart: number;
  /** By time, soonest first. */
  readonly #timers: Timer[] = [];

  constructor(wallAtStart = Date.UTC(2026, 0, 1)) {
    this.#wallAtStart = wallAtStart;
  }

  now(): number {
    return this.#now;
  }

  wall(): WallMs {
    return Math.round(this.#wallAtStart + this.#now) as WallMs;
  }

  after(ms: number, call: () => void): Disposable {
    const timer = { at: this.#now + Math.max(0, ms), call };
    const before = this.#timers.findLastIndex(({ at }) => at <= timer.at);
    this.#timers.splice(before + 1, 0, timer);
    return {
      [Symbol.dispose]: () => {
        const index = this.#timers.indexOf(timer);
        if (index >= 0) this.#timers.splice(index, 1);
      },
    };
  }

  /** When the next timer rings; for ever when none is set. */
  get nextAt(): number {
    return this.#timers[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  /** Goes to the next timer and lets it ring. */
  ring(): void {
    const timer = this.#timers.shift();
    if (timer === undefined) return;
    this.#now = Math.max(this.#now, timer.at);
    timer.call();
  }

  /** Lets so much time pass; timers that become due ring at their time. */
  advance(ms: number): void {
    const until = this.#now + ms;
    while (this.nextAt <= until) this.ring();
    this.#now = Math.max(this.#now, until);
  }
}

/** Time as one process sees it: it may go faster or slower, timers wait while the process is halted, and end with it. */
export class ProcessClock implements Clock {
  readonly #clock: Clock;
  readonly #start: number;
  readonly #now: number;
  readonly #drift: number;
  /** Timers that rang while the process was halted. */
  readonly #held: (() => void)[] = [];
  #state: 'running' | 'halted' | 'over' = 'running';

  constructor(clock: Clock, { now = 0, drift = 1 }: { readonly now?: number; readonly drift?: number }) {
    this.#clock = clock;
    this.#start = clock.now();
    this.#now = now;
    this.#drift = drift;
  }

  get state(): 'running' | 'halted' | 'over' {
    return this.#state;
  }

  now(): number {
    return this.#now + (this.#clock.now() - this.#start) * this.#drift;
  }

  wall(): WallMs {
    return this.#clock.wall();
  }

  after(ms: number, call: () => void): Disposable {
    let isSet = true;
    const timer = this.#clock.after(ms / this.#drift, () => this.#whenRunning(() => isSet && call()));
    return {
      [Symbol.dispose]: () => {
        isSet = false;
        timer[Symbol.dispose]();
      },
    };
  }

  halt(): void {
    if (this.#state === 'running') this.#state = 'halted';
  }

  goOn(): void {
    if (this.#state !== 'halted') return;
    this.#state = 'running';
    for (const call of this.#held.splice(0)) call();
  }

  end(): void {
    this.#state = 'over';
  }

  #whenRunning(call: () => void): void {
    if (this.#state === 'running') call();
    else if (this.#state === 'halted') this.#held.push(call);
  }
}

import type { Clock } from '../ports/clock.ts';
import type { Random } from './random.ts';

/** What may happen to an effect on its way to the world and back. The chances, from 0 to 1, exclude each other. */
export interface Faults {
  /** How long a request takes to get there, and its answer to get back. */
  readonly delayMs: readonly [least: number, most: number];
  /** Whoever gets no answer hears so after this time. */
  readonly patienceMs: number;
  /** Messages may lie in mailboxes while so much time passes. */
  readonly lagMs: number;
  /** The world never hears of it. */
  readonly requestLost: number;
  /** The world acts, and nobody hears of that. */
  readonly answerLost: number;
  /** The world acts after the actor was told that no answer came. */
  readonly late: number;
  /** The world acts twice; its second answer is heard. */
  readonly repeated: number;
  /** The world acts once; its answer is heard twice. */
  readonly doubled: number;
}

export const calm: Faults = {
  delayMs: [0, 0],
  patienceMs: 1_000,
  lagMs: 0,
  requestLost: 0,
  answerLost: 0,
  late: 0,
  repeated: 0,
  doubled: 0,
};

/** An effect to be carried out. `lane`: what goes over one lane gets there in order and is answered in order. */
export interface Journey<A> {
  readonly lane: string | undefined;
  /** How long the world needs for it. */
  readonly takesMs: number;
  readonly ask: () => A | Promise<A>;
  readonly giveUp: () => A | Promise<A>;
  readonly hear: (answer: A) => void;
}

/** How often the world is asked, how often its answer is heard, and whether that comes after the actor gave up. */
const fates = {
  requestLost: { asked: 0, heard: 0, late: false },
  answerLost: { asked: 1, heard: 0, late: false },
  late: { asked: 1, heard: 0, late: true },
  repeated: { asked: 2, heard: 1, late: false },
  doubled: { asked: 1, heard: 2, late: false },
} as const;
const served = { asked: 1, heard: 1, late: false } as const;
const mishaps = Object.keys(fates) as readonly (keyof typeof fates)[];

/** When the last one got through, each way. */
type Lane = { there: number; back: number };

/** The way from one process to the world and back. */
export class Wire {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #hold: (promise: Promise<void>) => void;
  readonly #lanes = new Map<string, Lane>();

  /** `hold`: nothing else may happen before this promise is settled. */
  constructor(clock: Clock, random: Random, hold: (promise: Promise<void>) => void) {
    this.#hold = hold;
    this.#clock = clock;
    this.#random = random;
  }

  carry<A>(faults: Faults, { lane: name, takesMs, ask, giveUp, hear }: Journey<A>): void {
    const { asked, heard, late } = this.#fate(faults);
    if (heard === 0) this.#clock.after(faults.patienceMs, () => this.#then(giveUp(), hear));
    if (asked === 0) return;
    // An attempt that was given up holds nobody up: its connection is closed, the next ones use another.
    const lane = (heard === 0 ? undefined : this.#lane(name)) ?? { there: 0, back: 0 };
    const delay = (): number => this.#random.between(faults.delayMs);
    this.#after(delay() + (late ? faults.patienceMs : 0), lane, 'there', () => {
      this.#then(asked === 2 ? twice(ask) : ask(), (answer) => {
        for (let times = 0; times < heard; times += 1) this.#after(takesMs + delay(), lane, 'back', () => hear(answer));
      });
    });
  }

  #lane(name: string | undefined): Lane | undefined {
    if (name !== undefined && !this.#lanes.has(name)) this.#lanes.set(name, { there: 0, back: 0 });
    return name === undefined ? undefined : this.#lanes.get(name);
  }

  #fate(faults: Faults): (typeof fates)[keyof typeof fates] | typeof served {
    let roll = this.#random.next();
    for (const mishap of mishaps) {
      if (roll < faults[mishap]) return fates[mishap];
      roll -= faults[mishap];
    }
    return served;
  }

  #then<A>(asked: A | Promise<A>, go: (answer: A) => void): void {
    if (asked instanceof Promise) this.#hold(asked.then(go));
    else go(asked);
  }

  #after(ms: number, lane: Lane, way: keyof Lane, call: () => void): void {
    const now = this.#clock.now();
    lane[way] = Math.max(lane[way], now + ms);
    this.#clock.after(lane[way] - now, call);
  }
}

const twice = <A>(ask: () => A | Promise<A>): A | Promise<A> => {
  const first = ask();
  return first instanceof Promise ? first.then(ask) : ask();
};

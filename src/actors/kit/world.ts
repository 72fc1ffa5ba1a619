import type { Deciders } from './behaviour.ts';
import { calm, type Faults } from './faults.ts';
import type { Order } from './mailboxes.ts';
import { Random } from './random.ts';
import { SimulatedUnit, type Surroundings, type UnitOptions } from './simulated.ts';
import { SimulatedClock } from './simulated-clock.ts';
import type { Settled } from './settle.ts';
import { createTrace, type Trace } from './trace.ts';

export interface WorldOptions {
  readonly seed: number;
  readonly order?: Order;
  /** Of units that bring none of their own. */
  readonly faults?: Faults;
  readonly traceSize?: number;
  /** By default it is thrown to the test. */
  readonly onDefect?: (actor: string, cause: unknown) => void;
}

/** Several processes on one clock: the same seed and the same test give the same history. */
export class World {
  readonly clock = new SimulatedClock();
  readonly random: Random;
  /** Decisions of all units; the actor is `<unit> <actor>`. */
  readonly trace: Trace;
  readonly #faults: Faults;
  readonly #surroundings: Surroundings;
  readonly #seed: number;
  #units: readonly SimulatedUnit[] = [];
  /** What was asked of the world and is not answered yet. */
  readonly #held: Promise<void>[] = [];
  /** Messages handled since the clock last moved. */
  #atOnce = 0;

  constructor({ seed, order = 'senders', faults = calm, traceSize = 1_000, onDefect }: WorldOptions) {
    const { clock } = this;
    this.random = new Random(seed);
    this.trace = createTrace(clock, traceSize);
    this.#faults = faults;
    this.#seed = seed;
    this.#surroundings = {
      clock,
      random: this.random,
      order,
      trace: this.trace,
      hold: (promise) => this.#held.push(promise),
      onDefect:
        onDefect ??
        ((actor, cause) => {
          throw new Error(`defect in ${actor}, seed ${seed}`, { cause });
        }),
    };
  }

  /** A process begins; the one that crashed under this name stays dead. */
  start<D extends Deciders>(options: UnitOptions<D>): SimulatedUnit<D> {
    const unit = new SimulatedUnit(options, options.faults ?? this.#faults, this.#surroundings);
    this.#units = [...this.#units.filter(({ isOver }) => !isOver), unit];
    return unit;
  }

  /** Everything that happens within so much time. */
  run(ms: number): void {
    atOnce(this.#run(ms));
  }

  runAsync(ms: number): Promise<void> {
    return inTurn(this.#run(ms));
  }

  /** Until no message is in a mailbox and no effect in flight; says what still is when the time is over. */
  settle(deadlineMs: number): Settled {
    return atOnce(this.#settle(deadlineMs));
  }

  settleAsync(deadlineMs: number): Promise<Settled> {
    return inTurn(this.#settle(deadlineMs));
  }

  *#run(ms: number): Course<void> {
    const until = this.clock.now() + ms;
    while (this.#next(until)) yield* this.#answers();
    this.clock.advance(until - this.clock.now());
  }

  *#settle(deadlineMs: number): Course<Settled> {
    const deadline = this.clock.now() + deadlineMs;
    while (this.#units.some(({ isQuiet }) => !isQuiet)) {
      if (this.#next(deadline)) yield* this.#answers();
      else {
        this.clock.advance(deadline - this.clock.now());
        return this.#stuck();
      }
    }
    return { kind: 'quiet' };
  }

  *#answers(): Course<void> {
    for (let held = this.#held.shift(); held !== undefined; held = this.#held.shift()) yield held;
  }

  /** One thing happens: a message is handled, or time goes on to the next timer. */
  #next(until: number): boolean {
    const ready = this.#units.filter(({ isReady }) => isReady);
    const unit = this.#surroundings.order === 'turns' ? ready[0] : this.random.pick(ready);
    const isDue = this.clock.nextAt <= until;
    if (unit === undefined && !isDue) return false;
    if (unit === undefined || (isDue && this.#overtakes(unit))) this.#ring();
    else this.#step(unit);
    return true;
  }

  #step(unit: SimulatedUnit): void {
    this.#atOnce += 1;
    if (this.#atOnce > 100_000) throw new Error(`messages without end at one instant, seed ${this.#seed}`);
    unit.step();
  }

  #ring(): void {
    if (this.clock.nextAt > this.clock.now()) this.#atOnce = 0;
    this.clock.ring();
  }

  #overtakes({ faults }: SimulatedUnit): boolean {
    return this.clock.nextAt - this.clock.now() <= faults.lagMs && faults.lagMs > 0 && this.random.chance(0.25);
  }

  #stuck(): Settled {
    const underway = this.#units.filter(({ isQuiet }) => !isQuiet).map((unit) => unit.underway);
    return {
      kind: 'stuck',
      effects: underway.flatMap(({ effects }) => effects),
      messages: underway.reduce((sum, { messages }) => sum + messages, 0),
    };
  }
}

/** A world with one unit in it, for golden traces and for histories of a single cast. */
export const simulate = <D extends Deciders>(
  cast: D,
  options: WorldOptions & Omit<UnitOptions<D>, 'name' | 'cast'>,
): { readonly world: World; readonly unit: SimulatedUnit<D> } => {
  const world = new World(options);
  return { world, unit: world.start({ ...options, name: '', cast }) };
};

/** What happens in a world, interrupted where an answer has to be awaited. */
type Course<T> = Generator<Promise<void>, T, void>;

const atOnce = <T>(course: Course<T>): T => {
  const { done, value } = course.next();
  if (done) return value;
  throw new Error('an effect was performed asynchronously: use runAsync and settleAsync');
};

const inTurn = async <T>(course: Course<T>): Promise<T> => {
  for (;;) {
    const { done, value } = course.next();
    if (done) return value;
    await value;
  }
};

/**
 * The seeded interpreter: the actors of one simulated process, on a clock that moves only when told to.
 *
 * The same deciders as in production; effects are carried out by functions of the test when their request reaches the world, or by
 * the real performs over ports that keep everything in memory. The seed chooses which message is handled next, how long requests
 * and answers take, and what becomes of them. Whatever an actor makes or hears is frozen: a decision that changes its input is a
 * defect here.
 */
import type { Protocol } from '../protocol.ts';
import type { Clock } from '../ports/clock.ts';
import type {
  Actor,
  Cast,
  Decider,
  Deciders,
  Decision,
  Effect,
  EffectOf,
  Message,
  Name,
  Send,
  StateOf,
} from './behaviour.ts';
import { type Faults, Wire } from './faults.ts';
import { frozen } from './frozen.ts';
import { Mailboxes, type Order } from './mailboxes.ts';
import type { Random } from './random.ts';
import { ProcessClock } from './simulated-clock.ts';
import type { Underway } from './settle.ts';
import type { Trace } from './trace.ts';

/** For each actor: what becomes of its effects, as the message it hears. `undefined`: no answer is due. */
export type Performs<D extends Deciders> = {
  readonly [N in Name]: (effect: EffectOf<D, N>) => Soon<Protocol[N] | undefined>;
};
/** A promise must settle without real time passing, and needs the asynchronous ways to run a world. */
type Soon<T> = T | Promise<T>;

/** The performs of a real cast, whose ports keep everything in memory (or, for `unavailable`, are never there). */
export const performsOf = <C extends Cast>(cast: C): Performs<C> => {
  const actors: Readonly<Record<string, Actor>> = cast;
  const performs = Object.entries(actors).map(([name, actor]) => [
    name,
    (effect: Effect) => actor.perform(effect, new AbortController().signal),
  ]);
  return Object.fromEntries(performs) as Performs<C>;
};

export interface UnitOptions<D extends Deciders> {
  readonly name: string;
  readonly cast: D;
  /** What the world does when a request reaches it. */
  readonly perform: Performs<D>;
  /** What an actor hears when no answer comes: its port's Unavailable, as a message. Actors left out hear nothing. */
  readonly unavailable?: Partial<Performs<D>>;
  /** How long the world needs for an effect; delays come on top. */
  readonly takesMs?: (actor: Name, effect: Effect) => number;
  /** What goes over one lane, as over one connection, gets there in order and is answered in order. */
  readonly lane?: (actor: Name, effect: Effect) => string | undefined;
  readonly faults?: Faults;
  /** What its monotonic clock shows at the start, and how fast it goes by the world's. */
  readonly now?: number;
  readonly drift?: number;
}

export interface Surroundings {
  readonly clock: Clock;
  readonly random: Random;
  readonly order: Order;
  readonly trace: Trace;
  /** Nothing else may happen before this promise is settled. */
  readonly hold: (promise: Promise<void>) => void;
  readonly onDefect: (actor: string, cause: unknown) => void;
}

/** A simulated process: tests talk to it and do it harm, `World` moves it on. */
export class SimulatedUnit<D extends Deciders = Deciders> {
  readonly name: string;
  /** May be changed at any time: a partition is a `requestLost` of 1. */
  faults: Faults;
  readonly #world: Surroundings;
  readonly #actors: Readonly<Record<Name, Decider>>;
  readonly #effects: EffectOptions;
  readonly #states: Map<Name, unknown>;
  readonly #mailboxes: Mailboxes;
  readonly #wire: Wire;
  readonly #flights = new Set<{ readonly actor: Name; readonly type: string; readonly since: number }>();
  readonly #clock: ProcessClock;

  constructor(options: UnitOptions<D>, faults: Faults, world: Surroundings) {
    const names = Object.keys(options.cast) as readonly Name[];
    this.name = options.name;
    this.faults = faults;
    this.#world = world;
    this.#actors = options.cast;
    this.#effects = options as EffectOptions;
    this.#states = new Map(names.map((name) => [name, frozen(options.cast[name].initial)]));
    this.#mailboxes = new Mailboxes(names, world.order, world.random);
    this.#wire = new Wire(world.clock, world.random, world.hold);
    this.#clock = new ProcessClock(world.clock, options);
  }

  /** For what the process itself does by time. */
  get clock(): Clock {
    return this.#clock;
  }

  /** Messages from outside. */
  send(...sends: readonly Send[]): void {
    for (const [to, message] of sends) this.#mailboxes.put('outside', to, frozen(message));
  }

  stateOf<N extends Name>(name: N): StateOf<D, N> {
    return this.#states.get(name);
  }

  /** As by SIGSTOP: what it asked for goes on in the world, and everything in it waits. */
  pause(): void {
    this.#clock.halt();
  }

  resume(): void {
    this.#clock.goOn();
  }

  /** As by SIGKILL: what it asked for goes on in the world, and nobody hears of it. */
  crash(): void {
    this.#clock.end();
  }

  get isOver(): boolean {
    return this.#clock.state === 'over';
  }

  get isReady(): boolean {
    return this.#clock.state === 'running' && !this.#mailboxes.isEmpty;
  }

  get isQuiet(): boolean {
    return this.isOver || (this.#mailboxes.isEmpty && this.#flights.size === 0);
  }

  get underway(): Underway {
    const now = this.#world.clock.now();
    const effects = [...this.#flights].map(({ actor, type, since }) => ({
      actor: this.#label(actor),
      type,
      forMs: now - since,
    }));
    return { effects, messages: this.#mailboxes.size };
  }

  /** Hands one message to its actor. */
  step(): void {
    this.#mailboxes.handOver((name, message) => {
      const decision = this.#decide(name, message);
      if (decision === undefined) return;
      this.#states.set(name, decision.state);
      this.#world.trace.decided(this.#label(name), message, decision);
      for (const [to, told] of decision.tell ?? []) this.#mailboxes.put(name, to, told);
      for (const effect of decision.effects ?? []) this.#start(name, effect);
    });
  }

  #decide(name: Name, message: Message): Decision<unknown, Effect> | undefined {
    try {
      return frozen(this.#actors[name].decide(this.#states.get(name), message, this.#clock.now()));
    } catch (cause) {
      this.#world.trace.threw(this.#label(name), message);
      this.#defect(name, cause);
      return undefined;
    }
  }

  #start(actor: Name, effect: Effect): void {
    const { perform, unavailable, takesMs, lane } = this.#effects;
    const flight = { actor, type: effect.type, since: this.#world.clock.now() };
    const from = lane?.(actor, effect);
    this.#flights.add(flight);
    this.#wire.carry<Outcome>(this.faults, {
      lane: from,
      takesMs: takesMs?.(actor, effect) ?? 0,
      ask: () => outcomeOf(() => perform[actor](effect)),
      giveUp: () => outcomeOf(() => unavailable?.[actor]?.(effect)),
      hear: (outcome) => {
        this.#flights.delete(flight);
        if ('defect' in outcome) this.#defect(actor, outcome.defect);
        else if (outcome.answer !== undefined) this.#mailboxes.put(from ?? flight, actor, frozen(outcome.answer));
      },
    });
  }

  #defect(actor: Name, cause: unknown): void {
    this.#mailboxes.close(actor);
    this.#world.onDefect(this.#label(actor), cause);
  }

  #label(actor: Name): string {
    return this.name === '' ? actor : `${this.name} ${actor}`;
  }
}

type Perform = (effect: Effect) => Soon<Message | undefined>;
interface EffectOptions {
  readonly perform: Readonly<Record<Name, Perform>>;
  readonly unavailable?: Partial<Readonly<Record<Name, Perform>>>;
  readonly takesMs?: (actor: Name, effect: Effect) => number;
  readonly lane?: (actor: Name, effect: Effect) => string | undefined;
}

/** What was thrown is a defect when the answer would have been heard. */
type Outcome = { readonly answer: Message | undefined } | { readonly defect: unknown };
const outcomeOf = (ask: () => Soon<Message | undefined>): Soon<Outcome> => {
  try {
    const answer = ask();
    return answer instanceof Promise ? answer.then(answered, thrown) : answered(answer);
  } catch (defect) {
    return thrown(defect);
  }
};
const answered = (answer: Message | undefined): Outcome => ({ answer });
const thrown = (defect: unknown): Outcome => ({ defect });

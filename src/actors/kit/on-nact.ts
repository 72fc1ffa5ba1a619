/**
 * The production interpreter: a cast as nact actors, one for each name, all directly under the system.
 *
 * Handlers are synchronous: a decision is taken, its tells are in the mailboxes and its effects are started before the next message
 * of that actor is looked at. An effect is a promise beside the mailbox; its answer is sent to the actor that asked. A throw, in
 * decide or perform, is a defect: it is reported, and that actor has stopped. Nothing here restarts, retries or escalates.
 */
import nact from 'nact';
import type { Clock } from '../ports/clock.ts';
import type { Actor, Cast, Effect, Message, Name, Send, StateOf } from './behaviour.ts';
import { Activity, type Settled } from './settle.ts';
import type { Trace } from './trace.ts';

export interface Surroundings {
  readonly clock: Clock;
  /** Called once for every throw. Must not throw itself. */
  readonly onDefect: (actor: Name, cause: unknown) => void;
  readonly trace?: Trace;
}

export interface Running<C extends Cast = Cast> {
  /** Messages from outside: a hook, a signal, an operator's wish. After `stop` they vanish. */
  send(...sends: readonly Send[]): void;
  /** Resolves as soon as no message is in a mailbox and no effect in flight, or says after the deadline what still is. */
  settle(deadlineMs: number): Promise<Settled>;
  /** When time alone will make an actor go on with what it has begun, monotonic ms; Infinity when none waits for that. */
  dueAt(): number;
  /** The latest state, to be read. */
  stateOf<N extends Name>(name: N): StateOf<C, N>;
  /** Calls back after each decision, when its state can be read. */
  onDecided(call: (name: Name) => void): Disposable;
  /**
   * The end, not the farewell: mailboxes are dropped, effects aborted and waited for. Whoever wants something finished says so by
   * message and settles first.
   */
  stop(): Promise<void>;
}

export const runOnNact = <C extends Cast>(cast: C, { clock, onDefect, trace }: Surroundings): Running<C> => {
  const parts: Readonly<Record<Name, Actor>> = cast;
  const names = Object.keys(cast) as readonly Name[];
  const activity = new Activity(clock);
  const states = new Map<Name, unknown>(names.map((name) => [name, cast[name].initial]));
  const listeners = new Set<(name: Name) => void>();

  const send = ([to, message]: Send): void => {
    const ref = refs.get(to);
    if (ref === undefined) return; // Stopped.
    activity.sent(to);
    nact.dispatch(ref, message);
  };

  const receiver =
    (name: Name) =>
    (state: unknown, message: Message): unknown => {
      const decision = parts[name].decide(state, message, clock.now());
      states.set(name, decision.state);
      trace?.decided(name, message, decision);
      for (const told of decision.tell ?? []) send(told);
      for (const effect of decision.effects ?? []) void perform(name, effect);
      for (const listener of listeners) listener(name);
      activity.handled(name); // Last, so that the count never touches zero between cause and effect.
      return decision.state;
    };

  const perform = async (name: Name, effect: Effect): Promise<void> => {
    using flight = activity.started(name, effect.type);
    try {
      const answer = await parts[name].perform(effect, flight.signal);
      if (answer !== undefined) send([name, answer] as Send);
    } catch (cause) {
      if (isAbort(flight.signal, cause)) return;
      const ref = retire(name);
      if (ref !== undefined) nact.stop(ref);
      onDefect(name, cause);
    }
  };

  /** From here on nothing reaches this actor, and what its mailbox held does not count. */
  const retire = (name: Name): Ref | undefined => {
    const ref = refs.get(name);
    refs.delete(name);
    activity.dropped(name);
    return ref;
  };

  const spawn = (name: Name): Ref =>
    nact.spawn(system, receiver(name), name, {
      initialState: cast[name].initial,
      onCrash: (message, cause, ctx) => {
        retire(name);
        trace?.threw(name, message as Message);
        onDefect(name, cause);
        return ctx.stop;
      },
    });

  const stop = async (): Promise<void> => {
    for (const name of names) {
      const ref = retire(name);
      if (ref !== undefined) nact.stop(ref); // Stopping the system alone would leave its actors running.
    }
    nact.stop(system);
    activity.abort();
    await activity.quiet();
  };

  const system = nact.start();
  const refs = new Map(names.map((name) => [name, spawn(name)]));
  return {
    send: (...sends) => sends.forEach(send),
    settle: (deadlineMs) => activity.settle(deadlineMs),
    dueAt: () => Math.min(...names.map((name) => parts[name].dueAt?.(states.get(name)) ?? Number.POSITIVE_INFINITY)),
    stateOf: (name) => states.get(name),
    onDecided: (call) => {
      listeners.add(call);
      return { [Symbol.dispose]: () => listeners.delete(call) };
    },
    stop,
  };
};

type Ref = ReturnType<typeof nact.spawn<nact.ActorSystemRef, (state: unknown, message: Message) => unknown>>;

/** What an effect throws because it was told to end is no defect. */
const isAbort = (signal: AbortSignal, cause: unknown): boolean =>
  signal.aborted && (cause === signal.reason || (cause instanceof Error && cause.name === 'AbortError'));

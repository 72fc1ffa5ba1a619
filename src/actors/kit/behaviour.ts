import type { Protocol } from '../protocol.ts';

export type Name = keyof Protocol;
export type Message = Protocol[Name];
/** A message on its way: data, so that it can be traced, compared and simulated. */
export type Send = { readonly [N in Name]: readonly [to: N, message: Protocol[N]] }[Name];
/** What to do, not how: one bounded step. */
export interface Effect {
  readonly type: string;
}

export interface Decision<S, E> {
  readonly state: S;
  readonly tell?: readonly Send[];
  readonly effects?: readonly E[];
}

/**
 * Methods, not properties: that is how behaviours, each with its own state and effects, fit into one cast. The interpreters hand
 * them nothing but their own.
 */
export interface Behaviour<N extends Name, S, E extends Effect> {
  readonly initial: S;
  /** Pure: no clock, no I/O, no throw for anything the outside world can cause. `now` is monotonic ms. */
  decide(state: S, message: Protocol[N], now: number): Decision<S, E>;
  /**
   * When time alone will make it go on with what it has begun, monotonic ms; Infinity while it waits for others only. Looking again
   * in turns is no such thing. For whoever has to know whether waiting is worth it.
   */
  dueAt?(state: S): number;
  /** Carries out one bounded step. What comes of it, failure included, is the next message to the same actor. */
  perform(effect: E, signal: AbortSignal): Promise<Protocol[N] | undefined>;
}
export type Actor<N extends Name = Name> = Behaviour<N, unknown, Effect>;
/** The pure half of an actor: all that a simulation needs. */
export type Decider<N extends Name = Name> = Omit<Actor<N>, 'perform'>;

/** One behaviour for every actor of the protocol; the interpreters run such a cast. */
export type Cast = { readonly [N in Name]: Actor<N> };
export type Deciders = { readonly [N in Name]: Decider<N> };
export type StateOf<D extends Deciders, N extends Name> = D[N]['initial'];
export type EffectOf<D extends Deciders, N extends Name> = NonNullable<ReturnType<D[N]['decide']>['effects']>[number];

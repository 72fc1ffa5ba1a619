import type { Protocol } from '../protocol.ts';

export type Name = keyof Protocol;
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

export interface Behaviour<N extends Name, S, E extends Effect> {
  readonly initial: S;
  /** Pure: no clock, no I/O, no throw for anything the outside world can cause. `now` is monotonic ms. */
  readonly decide: (state: S, message: Protocol[N], now: number) => Decision<S, E>;
  /** Carries out one bounded step. What comes of it, failure included, is the next message to the same actor. */
  readonly perform: (effect: E, signal: AbortSignal) => Promise<Protocol[N] | undefined>;
}

/** One behaviour for every actor of the protocol; the interpreters run such a cast. */
export type Cast = { readonly [N in Name]: Decider<Protocol[N]> & Performer<Protocol[N]> };
/** The pure half of a cast: all that a simulation needs. */
export type Deciders = { readonly [N in Name]: Decider<Protocol[N]> };
export type StateOf<D extends Deciders, N extends Name> = D[N]['initial'];
export type EffectOf<D extends Deciders, N extends Name> = NonNullable<ReturnType<D[N]['decide']>['effects']>[number];

/** Any message; by name and type only. */
export type Message = Protocol[Name];
/**
 * An actor as the interpreters see it: they hand it nothing but its own states, its own effects and, by the type of `Send`, its own
 * messages. Method syntax is what lets a behaviour with its own types stand here.
 */
export interface Decider<M> {
  readonly initial: unknown;
  decide(state: unknown, message: M, now: number): Decision<unknown, Effect>;
}
export interface Performer<M> {
  perform(effect: Effect, signal: AbortSignal): Promise<M | undefined>;
}

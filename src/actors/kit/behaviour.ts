import type { Protocol } from '../protocol.ts';

export type Name = keyof Protocol;
/** A message on its way: data, so that it can be traced, compared and simulated. */
export type Send = { readonly [N in Name]: readonly [to: N, message: Protocol[N]] }[Name];

export interface Decision<S, E> {
  readonly state: S;
  readonly tell?: readonly Send[];
  readonly effects?: readonly E[];
}

export interface Behaviour<N extends Name, S, E extends { readonly type: string }> {
  readonly initial: S;
  /** Pure: no clock, no I/O, no throw for anything the outside world can cause. `now` is monotonic ms. */
  readonly decide: (state: S, message: Protocol[N], now: number) => Decision<S, E>;
  /** Carries out one bounded step. What comes of it, failure included, is the next message to the same actor. */
  readonly perform: (effect: E, signal: AbortSignal) => Promise<Protocol[N] | undefined>;
}

/** One behaviour for every actor of the protocol; the interpreters run such a cast. */
// biome-ignore lint: the effect and state types of each actor are its own.
export type Cast = { readonly [N in Name]: Behaviour<N, unknown, { readonly type: string }> };

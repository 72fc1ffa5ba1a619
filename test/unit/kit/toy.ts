import type { Cast, Decision, Effect, Name, Send } from '../../../src/actors/kit/behaviour.ts';

/** A made-up protocol on the real names: the kit looks at nothing but names and types. */
export interface Toy {
  readonly type: string;
  readonly [field: string]: unknown;
}
export const names = ['unit', 'leader', 'config', 'workload', 'peers', 'backend', 'client'] as const satisfies Name[];
export const toy = (to: Name, message: Toy): Send => [to, message] as unknown as Send;

/** An actor of the made-up protocol; by default one that remembers the types of what it heard. */
export interface ToyActor<S = readonly string[], E extends Effect = Effect> {
  readonly initial: S;
  decide(state: S, message: Toy, now: number): Decision<S, E>;
  perform(effect: E, signal: AbortSignal): Promise<Toy | undefined>;
}

export const listener: ToyActor = {
  initial: [],
  decide: (state, { type }) => ({ state: [...state, type] }),
  perform: async () => undefined,
};

/** Listeners everywhere, but for those given. */
export const toyCast = (actors: { readonly [N in Name]?: ToyActor<unknown> }): Cast =>
  Object.fromEntries(names.map((name) => [name, actors[name] ?? listener])) as unknown as Cast;

/** Until all that is due in this turn of the event loop, and in the next one, has run. */
export const turns = async (count = 2): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate);
};

import { expect, it } from 'vitest';
import type { Cast, Decision, Effect, Send } from '../../src/actors/kit/behaviour.ts';
import { calm } from '../../src/actors/kit/faults.ts';
import { runOnNact } from '../../src/actors/kit/on-nact.ts';
import { Random } from '../../src/actors/kit/random.ts';
import type { Performs } from '../../src/actors/kit/simulated.ts';
import { SimulatedClock } from '../../src/actors/kit/simulated-clock.ts';
import { createTrace } from '../../src/actors/kit/trace.ts';
import { simulate } from '../../src/actors/kit/world.ts';
import type { TraceEntry } from '../../src/actors/model/status.ts';
import { names, type Toy, type ToyActor, toy, toyCast, turns } from '../unit/kit/toy.ts';

/** Both interpreters, given the same random history of a made-up cast, take the same decisions at the same time in the same order. */
const histories = 1_000;

interface Outcome {
  readonly trace: readonly TraceEntry[];
  readonly states: readonly unknown[];
  readonly defects: readonly string[];
}
interface History {
  readonly cast: Cast;
  readonly sends: readonly { readonly afterMs: number; readonly send: Send }[];
}
interface Work extends Effect {
  readonly ms: number;
  readonly becomes: Toy | 'nothing' | 'a defect';
}

it(`takes the same decisions on nact and simulated, in ${histories} random histories`, async () => {
  let decisions = 0;
  let defects = 0;
  for (let seed = 1; seed <= histories; seed += 1) {
    const expected = simulated(historyOf(seed));
    expect(await produced(historyOf(seed)), `seed ${seed}`).toEqual(expected);
    decisions += expected.trace.length;
    defects += expected.defects.length;
  }
  // Else the histories prove nothing.
  expect(decisions / histories).toBeGreaterThan(50);
  expect(defects).toBeGreaterThan(histories / 10);
}, 300_000); // A few seconds of computing: on a busy machine many.

const simulated = ({ cast, sends }: History): Outcome => {
  const defects: string[] = [];
  const { world, unit } = simulate(cast, {
    seed: 0,
    order: 'turns',
    faults: calm,
    traceSize: Number.POSITIVE_INFINITY,
    perform: Object.fromEntries(names.map((name) => [name, outcomeOf])) as unknown as Performs<Cast>,
    takesMs: (_, effect) => (effect as Work).ms,
    onDefect: (actor, cause) => defects.push(`${actor}: ${String(cause)}`),
  });
  for (const { afterMs, send } of sends) {
    world.run(afterMs);
    unit.send(send);
  }
  world.run(10_000);
  expect(world.settle(0)).toEqual({ kind: 'quiet' });
  return { trace: world.trace.entries(), states: names.map((name) => unit.stateOf(name)), defects };
};

const produced = async ({ cast, sends }: History): Promise<Outcome> => {
  const clock = new SimulatedClock();
  const trace = createTrace(clock, Number.POSITIVE_INFINITY);
  const defects: string[] = [];
  let events = 0;
  const performs = Object.fromEntries(
    names.map((name) => [
      name,
      {
        ...cast[name],
        perform: async (effect: Work) => {
          await new Promise<void>((resolve) => clock.after(effect.ms, resolve));
          return outcomeOf(effect);
        },
      },
    ]),
  ) as unknown as Cast;
  const running = runOnNact(performs, {
    clock,
    trace,
    onDefect: (actor, cause) => {
      events += 1;
      defects.push(`${actor}: ${String(cause)}`);
    },
  });
  running.onDecided(() => {
    events += 1;
  });
  /** Until a whole turn of the event loop brought nothing: then every mailbox is empty. */
  const drained = async (): Promise<void> => {
    for (let before = -1; before !== events; ) {
      before = events;
      await turns(2);
    }
  };
  const run = async (ms: number): Promise<void> => {
    const until = clock.now() + ms;
    await drained();
    while (clock.nextAt <= until) {
      clock.ring();
      await drained();
    }
    clock.advance(until - clock.now());
  };
  for (const { afterMs, send } of sends) {
    await run(afterMs);
    running.send(send);
  }
  await run(10_000);
  expect(await running.settle(0)).toEqual({ kind: 'quiet' });
  await running.stop();
  return { trace: trace.entries(), states: names.map((name) => running.stateOf(name)), defects };
};

const outcomeOf = (effect: Effect): Toy | undefined => {
  const { becomes } = effect as Work;
  if (becomes === 'a defect') throw new Error(`defect of ${effect.type}`);
  return becomes === 'nothing' ? undefined : becomes;
};

/** Actors whose decisions follow from all they have heard, and when: any difference in order soon shows everywhere. */
const historyOf = (seed: number): History => {
  const random = new Random(seed);
  const message = (): Toy => ({ type: `m${random.below(1_000)}`, hops: 3 + random.below(4) });
  return {
    cast: toyCast(Object.fromEntries(names.map((name, index) => [name, gossip(seed * 16 + index)]))),
    sends: Array.from({ length: 2 + random.below(5) }, () => ({
      afterMs: random.below(6),
      send: toy(random.pick(names), message()),
    })),
  };
};

const gossip = (salt: number): ToyActor<number> => ({
  initial: salt,
  decide: (state, { type, hops }, now): Decision<number, Work> => {
    const heard = hashOf(`${type} ${now}`, state);
    const random = new Random(heard);
    if (random.chance(0.01)) throw new Error(`defect of ${type}`);
    const left = Number(hops) - 1;
    const next = (): Toy => ({ type: `m${random.below(1_000)}`, hops: left });
    const many = (most: number): undefined[] => Array.from({ length: left > 0 ? random.below(most + 1) : 0 });
    return {
      state: heard,
      tell: many(3).map(() => toy(random.pick(names), next())),
      effects: many(2).map(() => ({
        type: `e${random.below(1_000)}`,
        ms: random.below(8),
        becomes: fate(random, next),
      })),
    };
  },
  perform: async () => undefined,
});

const hashOf = (text: string, start: number): number => {
  let hash = start;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash;
};

const fate = (random: Random, next: () => Toy): Work['becomes'] => {
  if (random.chance(0.02)) return 'a defect';
  return random.chance(0.2) ? 'nothing' : next();
};

import { describe, expect, it } from 'vitest';
import type { Deciders, Name } from '../../../src/actors/kit/behaviour.ts';
import { calm, type Faults } from '../../../src/actors/kit/faults.ts';
import type { Order } from '../../../src/actors/kit/mailboxes.ts';
import { Random } from '../../../src/actors/kit/random.ts';
import { type Performs, performsOf } from '../../../src/actors/kit/simulated.ts';
import { startTicker } from '../../../src/actors/kit/ticker.ts';
import { goldenTrace } from '../../../src/actors/kit/trace.ts';
import { simulate, World } from '../../../src/actors/kit/world.ts';
import { names, type Toy, type ToyActor, toy, toyCast } from './toy.ts';

type Perform = (effect: Toy) => Toy | undefined;
const performs = (perform: Perform): Performs<Deciders> =>
  Object.fromEntries(names.map((name) => [name, perform])) as unknown as Performs<Deciders>;

/** Does what a message asks for, remembers all it heard, and when. */
const asker: ToyActor = {
  initial: [],
  decide: (state, { type, does = [], tells = [] }, now) => ({
    state: [...state, `${type}@${now}`],
    effects: does as Toy[],
    tell: (tells as [Name, string][]).map(([to, tell]) => toy(to, { type: tell })),
  }),
  perform: async () => undefined,
};
const cast = toyCast(Object.fromEntries(names.map((name) => [name, asker])));

/** One unit whose effects are written down by the world as they arrive. */
const start = (faults: Partial<Faults>, options: { readonly seed?: number; readonly order?: Order } = {}) => {
  const arrived: string[] = [];
  const { world, unit } = simulate(cast, {
    seed: 1,
    ...options,
    faults: { ...calm, patienceMs: 100, ...faults },
    perform: performs(({ type }) => {
      arrived.push(`${type}@${world.clock.now()}`);
      return { type: `answer ${type}` };
    }),
    unavailable: performs(({ type }) => ({ type: `no answer ${type}` })),
    takesMs: (_, { type }) => (type === 'slow' ? 50 : 0),
    lane: (_, { type }) => (type.startsWith('laned') ? 'store' : undefined),
  });
  const ask = (...types: string[]): void =>
    unit.send(toy('unit', { type: 'go', does: types.map((type) => ({ type })) }));
  return { world, unit, arrived, ask };
};

describe('effects of a simulated unit', () => {
  it.each([
    ['served', {}, ['x@10'], ['answer x@20']],
    ['requestLost', { requestLost: 1 }, [], ['no answer x@100']],
    ['answerLost', { answerLost: 1 }, ['x@10'], ['no answer x@100']],
    ['late', { late: 1 }, ['x@110'], ['no answer x@100']],
    ['repeated', { repeated: 1 }, ['x@10', 'x@10'], ['answer x@20']],
    ['doubled', { doubled: 1 }, ['x@10'], ['answer x@20', 'answer x@20']],
  ] as const)('%s: reaches the world and the actor as it should', (_, faults, reached, heard) => {
    const { world, unit, arrived, ask } = start({ ...faults, delayMs: [10, 10] });
    ask('x');
    expect(world.settle(1_000)).toEqual({ kind: 'quiet' });
    world.run(1_000);
    expect(arrived).toEqual(reached);
    expect(unit.stateOf('unit')).toEqual(['go@0', ...heard]);
  });

  it('meet each mishap as often as its chance says, and one at a time', () => {
    const fifth = { requestLost: 0.2, answerLost: 0.2, late: 0.2, repeated: 0.2, doubled: 0.2 };
    const { world, arrived, unit, ask } = start({ ...fifth, delayMs: [1, 1], patienceMs: 10 });
    const met = new Map<string, number>();
    for (let asked = 0; asked < 1_000; asked += 1) {
      const before = (unit.stateOf('unit') as string[]).length + 1;
      const from = world.clock.now();
      ask('x');
      world.run(20);
      const heard = (unit.stateOf('unit') as string[]).slice(before).map((answer) => answer.split(' x')[0]);
      const reached = arrived.splice(0).map((at) => Number(at.slice(2)) - from);
      const how = `${reached.join()}: ${heard.join()}`;
      met.set(how, (met.get(how) ?? 0) + 1);
    }
    const five = [': no answer', '1: no answer', '11: no answer', '1,1: answer', '1: answer,answer'];
    expect([...met.keys()].toSorted()).toEqual(five.toSorted());
    for (const times of met.values()) expect(Math.abs(times - 200)).toBeLessThan(60);
  });

  it('take their time, count as under way meanwhile, and are named when they are stuck', () => {
    const { world, unit, ask } = start({});
    ask('slow');
    expect(world.settle(40)).toEqual({
      kind: 'stuck',
      effects: [{ actor: 'unit', type: 'slow', forMs: 40 }],
      messages: 0,
    });
    world.run(5);
    expect(world.settle(4)).toMatchObject({ effects: [{ forMs: 49 }] });
    expect(world.settle(10)).toEqual({ kind: 'quiet' });
    expect(unit.stateOf('unit')).toEqual(['go@0', 'answer slow@50']);
  });

  it.each([
    ['on their way', { delayMs: [0, 20] }, 'mailboxes'],
    ['in the mailbox', { lagMs: 1 }, 'senders'],
  ] as const)('overtake each other %s, but not within a lane', (_, faults, order) => {
    const inOrder = (lane: string): boolean[] =>
      Array.from({ length: 50 }, (_, seed) => {
        const { world, unit, arrived, ask } = start({ ...faults, doubled: 0.2 }, { seed, order });
        const types = [1, 2, 3, 4].map((number) => `${lane}${number}`);
        ask(...types);
        world.run(100);
        const answers = (unit.stateOf('unit') as string[]).slice(1).map((answer) => answer.replace(/answer |@.*/g, ''));
        const came = arrived.map((request) => request.replace(/@.*/, ''));
        return [came, [...new Set(answers)]].every((seen) => seen.join() === types.join());
      });
    expect(new Set(inOrder('laned'))).toEqual(new Set([true]));
    expect(new Set(inOrder('free'))).toEqual(new Set([true, false]));
  });

  it('do not wait in a lane for one that was given up', () => {
    const { world, unit, arrived, ask } = start({ late: 1 });
    ask('laned and late');
    world.run(1);
    unit.faults = calm;
    ask('laned');
    world.run(500);
    expect(arrived).toEqual(['laned@1', 'laned and late@100']);
    expect(unit.stateOf('unit')).toEqual(['go@0', 'go@1', 'answer laned@1', 'no answer laned and late@100']);
  });

  it('are heard by nobody when their actor has no word for silence', () => {
    const { world, unit } = simulate(cast, {
      seed: 1,
      faults: { ...calm, answerLost: 1 },
      perform: performs(() => ({ type: 'lost' })),
    });
    unit.send(toy('unit', { type: 'go', does: [{ type: 'x' }] }));
    expect(world.settle(5_000)).toEqual({ kind: 'quiet' });
    expect(unit.stateOf('unit')).toEqual(['go@0']);
  });
});

describe('the performs of a real cast', () => {
  /** A port that keeps everything in memory: it answers after some turns of promises, in no time. */
  const port = { count: 0 };
  const real = (isThere: boolean) =>
    toyCast({
      unit: {
        ...asker,
        perform: async ({ type }) => {
          for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
          if (!isThere) return { type: 'no answer' };
          port.count += 1;
          return { type: `${type} ${port.count}` };
        },
      },
    });
  const begin = (faults: Partial<Faults>) => {
    port.count = 0;
    return simulate(real(true), {
      seed: 1,
      faults: { ...calm, ...faults },
      perform: performsOf(real(true)),
      unavailable: performsOf(real(false)),
    });
  };

  it.each([
    ['served', {}, ['count 1@20', 'count 2@20']],
    ['repeated', { repeated: 1 }, ['count 2@20', 'count 4@20']],
    ['requestLost', { requestLost: 1 }, ['no answer@1000', 'no answer@1000']],
  ] as const)('%s: are awaited before anything else happens', async (_, faults, heard) => {
    const { world, unit } = begin({ delayMs: [10, 10], ...faults });
    unit.send(toy('unit', { type: 'go', does: [{ type: 'count' }, { type: 'count' }] }));
    expect(await world.settleAsync(5_000)).toEqual({ kind: 'quiet' });
    expect(unit.stateOf('unit')).toEqual(['go@0', ...heard]);
    await world.runAsync(100);
    expect(world.clock.now()).toBe(Number(heard[1].split('@')[1]) + 100);
  });

  it('are refused where nobody would await them', () => {
    const { world, unit } = begin({});
    unit.send(toy('unit', { type: 'go', does: [{ type: 'count' }] }));
    expect(() => world.run(1)).toThrow('use runAsync and settleAsync');
  });

  it('show their defects', async () => {
    const broken = toyCast({ unit: { ...asker, perform: () => Promise.reject(new TypeError('a bug')) } });
    const { world, unit } = simulate(broken, { seed: 3, perform: performsOf(broken) });
    unit.send(toy('unit', { type: 'go', does: [{ type: 'count' }] }));
    const defect = new Error('defect in unit, seed 3', { cause: new TypeError('a bug') });
    await expect(world.settleAsync(1)).rejects.toThrow(defect);
  });
});

describe('the order of messages', () => {
  /** Two senders and an outsider, each with three messages to one receiver. */
  const histories = (order: Order, seeds = 60): ReadonlySet<string> =>
    new Set(
      Array.from({ length: seeds }, (_, seed) => {
        const { world, unit } = start({}, { seed, order });
        for (const [from, letter] of [
          ['leader', 'a'],
          ['config', 'b'],
        ] as const)
          unit.send(toy(from, { type: 'go', tells: [1, 2, 3].map((number) => ['unit', `${letter}${number}`]) }));
        for (const number of [1, 2, 3]) unit.send(toy('unit', { type: `c${number}` }));
        expect(world.settle(0)).toEqual({ kind: 'quiet' });
        return (unit.stateOf('unit') as string[]).map((heard) => heard.slice(0, 2)).join(' ');
      }),
    );

  it('by turns is that of nact, whatever the seed', () => {
    expect([...histories('turns')]).toEqual(['c1 c2 c3 a1 a2 a3 b1 b2 b3']);
  });

  it('by mailboxes is any in which each receiver hears in the order of sending', () => {
    expect([...histories('mailboxes')].toSorted()).toEqual([
      'c1 c2 c3 a1 a2 a3 b1 b2 b3',
      'c1 c2 c3 b1 b2 b3 a1 a2 a3',
    ]);
  });

  it('by senders is any in which what one sender sends to one receiver keeps its order', () => {
    const seen = histories('senders');
    expect(seen.size).toBeGreaterThan(30);
    for (const history of seen)
      for (const letter of 'abc')
        expect(history.split(' ').filter((said) => said.startsWith(letter))).toEqual([1, 2, 3].map((n) => letter + n));
  });

  it('lets time pass between the messages of one cascade only where messages may lie', () => {
    const interleaved = (lagMs: number): boolean =>
      Array.from({ length: 30 }, (_, seed) => {
        const { world, unit, ask } = start({ delayMs: [1, 1], lagMs }, { seed, order: 'mailboxes' });
        ask('x');
        unit.send(...[1, 2, 3, 4, 5].map((number) => toy('unit', { type: `m${number}` })));
        world.run(20);
        return unit.stateOf('unit') as string[];
      }).some((heard) => !heard.at(-1)?.startsWith('answer') || !heard[5]?.endsWith('@0'));
    expect(interleaved(0)).toBe(false);
    expect(interleaved(5)).toBe(true);
  });
});

describe('a world of several units', () => {
  /** Units that count up one shared number, each by what it read: the world's answer carries it. */
  const fleet = (seed: number, faults: Partial<Faults> = {}) => {
    const world = new World({
      seed,
      faults: { ...calm, delayMs: [1, 30], ...faults },
      traceSize: Number.POSITIVE_INFINITY,
    });
    let store = 0;
    const begin = (name: string) => {
      const unit = world.start({
        name,
        cast,
        perform: performs(({ type }) => {
          store += 1;
          return { type: `${type} ${store}` };
        }),
      });
      startTicker(unit.clock, 100, () => unit.send(toy('unit', { type: 'tick', does: [{ type: 'count' }] })));
      return unit;
    };
    return { world, begin, store: () => store };
  };

  it('is the same history for the same seed, and another one for another', () => {
    const history = (seed: number): string => {
      const { world, begin } = fleet(seed, { requestLost: 0.2, doubled: 0.2, late: 0.1, lagMs: 5 });
      for (const name of ['a/0', 'a/1', 'a/2']) begin(name);
      world.run(2_000);
      return goldenTrace(world.trace.entries());
    };
    expect(history(3)).toBe(history(3));
    expect(history(3)).not.toBe(history(4));
    for (const name of ['a/0', 'a/1', 'a/2']) expect(history(3)).toContain(`${name} unit hears tick, does count\n`);
  });

  it('lets the seed choose which unit acts next, unless they act in turns', () => {
    const orders = (order: Order): ReadonlySet<string> =>
      new Set(
        Array.from({ length: 20 }, (_, seed) => {
          const world = new World({ seed, order });
          for (const name of ['a/0', 'a/1'])
            world.start({ name, cast, perform: performs(() => undefined) }).send(toy('unit', { type: 'x' }));
          world.settle(0);
          return world.trace
            .entries()
            .map(({ actor }) => actor)
            .join();
        }),
      );
    expect(orders('turns')).toEqual(new Set(['a/0 unit,a/1 unit']));
    expect(orders('mailboxes')).toEqual(new Set(['a/0 unit,a/1 unit', 'a/1 unit,a/0 unit']));
  });

  it('holds a paused unit: its requests go on, its messages and ticks wait, and beats are not made up for', () => {
    const { world, begin, store } = fleet(1);
    const unit = begin('a/0');
    world.run(101);
    unit.pause();
    world.run(1_000);
    expect(store()).toBe(1);
    expect(unit.stateOf('unit')).toEqual(['tick@100']);
    expect(world.settle(10)).toMatchObject({ kind: 'stuck', messages: 1 });
    unit.resume();
    world.settle(1);
    const woken = ['count 1@1111', 'tick@1111'];
    expect((unit.stateOf('unit') as string[]).slice(1).toSorted()).toEqual(woken);
    world.run(150);
    expect((unit.stateOf('unit') as string[]).filter((heard) => heard.startsWith('tick')).slice(2)).toEqual([
      'tick@1200',
    ]);
  });

  it('forgets a crashed unit: its requests go on, nothing else; started again it begins anew', () => {
    const { world, begin, store } = fleet(1);
    const first = begin('a/0');
    world.run(100);
    first.crash();
    first.send(toy('unit', { type: 'nobody hears' }));
    expect(world.settle(1_000)).toEqual({ kind: 'quiet' });
    world.run(1_000);
    expect(store()).toBe(1);
    expect(first.stateOf('unit')).toEqual(['tick@100']);
    const second = begin('a/0');
    world.run(101);
    expect(second.stateOf('unit')).toEqual(['tick@100']);
    expect(first.stateOf('unit')).toEqual(['tick@100']);
  });

  it('reports what the world throws about a request of a unit that has crashed meanwhile', () => {
    const world = new World({ seed: 5, faults: { ...calm, delayMs: [10, 10] } });
    const unit = world.start({
      name: 'a/0',
      cast,
      perform: performs(() => {
        throw new Error('two writers');
      }),
    });
    unit.send(toy('unit', { type: 'go', does: [{ type: 'write' }] }));
    world.run(1);
    unit.crash();
    expect(() => world.run(50)).toThrow(new Error('defect in a/0 unit, seed 5', { cause: new Error('two writers') }));
  });

  it('cuts one unit off when its faults say so', () => {
    const { world, begin, store } = fleet(1);
    const [cut] = [begin('a/0'), begin('a/1')];
    cut.faults = { ...calm, requestLost: 1 };
    world.run(1_000);
    expect(store()).toBeGreaterThan(5);
    expect((cut.stateOf('unit') as string[]).filter((heard) => heard.startsWith('count'))).toEqual([]);
  });
});

describe('defects in a simulation', () => {
  const thrower = toyCast({
    unit: asker,
    leader: {
      ...asker,
      decide: () => {
        throw new SyntaxError('in decide');
      },
    },
    config: {
      ...asker,
      decide: (state, message) => {
        (message['list'] as string[]).push('changed');
        return { state };
      },
    },
  });

  it('are thrown to the test, with the actor, the seed and the cause', () => {
    const { world, unit } = simulate(thrower, { seed: 42, perform: performs(() => undefined) });
    unit.send(toy('leader', { type: 'x' }));
    expect(() => world.settle(0)).toThrow(
      new Error('defect in leader, seed 42', { cause: new SyntaxError('in decide') }),
    );
  });

  it('stop the actor as in production when the test listens, in decide and in what the world does', () => {
    const defects: string[] = [];
    const { world, unit } = simulate(thrower, {
      seed: 1,
      onDefect: (actor, cause) => defects.push(`${actor}: ${String(cause)}`),
      perform: performs(() => {
        throw new RangeError('in the world');
      }),
    });
    unit.send(...['x', 'y'].map((type) => toy('leader', { type })), toy('unit', { type: 'go', does: [{ type: 'e' }] }));
    expect(world.settle(10)).toEqual({ kind: 'quiet' });
    unit.send(toy('leader', { type: 'z' }), toy('unit', { type: 'late' }));
    expect(world.settle(10)).toEqual({ kind: 'quiet' });
    expect(defects.toSorted()).toEqual(['leader: SyntaxError: in decide', 'unit: RangeError: in the world']);
    expect(unit.stateOf('unit')).toEqual(['go@0']);
    expect(goldenTrace(world.trace.entries())).toContain('leader hears x (defect)\n');
  });

  it('are found in a decision that changes what it was given', () => {
    const { world, unit } = simulate(thrower, { seed: 1, perform: performs(() => undefined) });
    unit.send(toy('config', { type: 'x', list: [] }));
    expect(() => world.settle(0)).toThrow(/defect in config, seed 1/);
  });

  it.each([
    ['tell each other', { tell: [toy('unit', { type: 'again' })] }],
    ['do what is answered at once', { effects: [{ type: 'again' }] }],
  ])('are found in actors that %s for ever', (_, forever) => {
    const echo: ToyActor = { ...asker, decide: (state) => ({ state, ...forever }) };
    const { world, unit } = simulate(toyCast({ unit: echo }), { seed: 9, perform: performs((effect) => effect) });
    unit.send(toy('unit', { type: 'x' }));
    expect(() => world.run(1)).toThrow('messages without end at one instant, seed 9');
  });
});

it('a seed makes choices that are spread evenly', () => {
  const random = new Random(7);
  const counts = [0, 0, 0, 0];
  for (let index = 0; index < 8_000; index += 1) counts[random.below(4)] = (counts[random.below(4)] ?? 0) + 1;
  for (const count of counts) expect(Math.abs(count - 2_000)).toBeLessThan(200);
  expect(random.pick([])).toBeUndefined();
  const between = Array.from({ length: 1_000 }, () => random.between([5, 7]));
  expect(Math.min(...between)).toBeGreaterThanOrEqual(5);
  expect(Math.max(...between)).toBeLessThan(7);
});

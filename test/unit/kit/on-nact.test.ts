import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { Cast, Name } from '../../../src/actors/kit/behaviour.ts';
import { type Running, runOnNact } from '../../../src/actors/kit/on-nact.ts';
import { SimulatedClock } from '../../../src/actors/kit/simulated-clock.ts';
import { createTrace } from '../../../src/actors/kit/trace.ts';
import { type Toy, type ToyActor, listener, toy, toyCast, turns } from './toy.ts';

const run = (cast: Cast) => {
  const clock = new SimulatedClock();
  const defects: [Name, unknown][] = [];
  const trace = createTrace(clock);
  const running = runOnNact(cast, { clock, trace, onDefect: (actor, cause) => defects.push([actor, cause]) });
  return { clock, defects, trace, running };
};

/** Effects that end when the test says so. */
const slow = () => {
  const begun: {
    readonly type: string;
    readonly signal: AbortSignal;
    readonly end: PromiseWithResolvers<Toy | undefined>;
  }[] = [];
  const actor: ToyActor = {
    initial: [],
    decide: (state, { type, does = [] }) => ({
      state: [...state, type],
      effects: (does as string[]).map((effect) => ({ type: effect })),
    }),
    perform: ({ type }, signal) => {
      const end = Promise.withResolvers<Toy | undefined>();
      begun.push({ type, signal, end });
      return end.promise;
    },
  };
  return { actor, begun };
};

describe('delivery', () => {
  it('tells whom the decision names, oneself included, in order; before what its effects answer', async () => {
    const actor: ToyActor = {
      initial: [],
      decide: (state, { type }) => ({
        state: [...state, type],
        ...(type === 'go' && {
          tell: [toy('unit', { type: 'self' }), toy('leader', { type: 'first' }), toy('leader', { type: 'second' })],
          effects: [{ type: 'a' }, { type: 'b' }],
        }),
      }),
      perform: async ({ type }) => ({ type: `answer ${type}` }),
    };
    const { running } = run(toyCast({ unit: actor }));
    running.send(toy('unit', { type: 'go' }), toy('unit', { type: 'sent later' }));
    expect(running.stateOf('unit')).toEqual([]);
    expect(await running.settle(1_000)).toEqual({ kind: 'quiet' });
    expect(running.stateOf('unit')).toEqual(['go', 'sent later', 'self', 'answer a', 'answer b']);
    expect(running.stateOf('leader')).toEqual(['first', 'second']);
    await running.stop();
  });

  it('passes the time of the decision, and calls back when its state can be read', async () => {
    const times: number[] = [];
    const watch: ToyActor<number> = { ...listener, initial: 0, decide: (_, __, now) => ({ state: now }) };
    const { running, clock } = run(toyCast({ unit: watch }));
    const listening = running.onDecided((name) => times.push(name === 'unit' ? Number(running.stateOf('unit')) : -1));
    clock.advance(7);
    running.send(toy('unit', { type: 'x' }));
    await running.settle(1_000);
    listening[Symbol.dispose]();
    clock.advance(1);
    running.send(toy('unit', { type: 'x' }));
    await running.settle(1_000);
    expect(times).toEqual([7]);
    expect(running.stateOf('unit')).toBe(8);
    await running.stop();
  });
});

describe('settling', () => {
  it('waits for messages and effects, and says what is stuck after the deadline', async () => {
    const { actor, begun } = slow();
    const { running, clock } = run(toyCast({ workload: actor }));
    running.send(toy('workload', { type: 'x', does: ['prove', 'write'] }));
    await turns();
    clock.advance(5);
    const settled = running.settle(100);
    clock.advance(100);
    expect(await settled).toEqual({
      kind: 'stuck',
      effects: [
        { actor: 'workload', type: 'prove', forMs: 105 },
        { actor: 'workload', type: 'write', forMs: 105 },
      ],
      messages: 0,
    });
    const again = running.settle(100);
    for (const { end } of begun) end.resolve({ type: 'answer' });
    expect(await again).toEqual({ kind: 'quiet' });
    expect(running.stateOf('workload')).toEqual(['x', 'answer', 'answer']);
    await running.stop();
  });

  it('counts messages that wait in mailboxes', async () => {
    const { running, clock } = run(toyCast({}));
    running.send(toy('unit', { type: 'x' }), toy('leader', { type: 'x' }));
    const settled = running.settle(10);
    clock.advance(10);
    expect(await settled).toEqual({ kind: 'stuck', effects: [], messages: 2 });
    await running.stop();
  });

  it('is quiet at once when nothing is under way, sets no timer that stays, and timers do not count', async () => {
    const { running, clock } = run(toyCast({}));
    clock.after(5, () => {});
    expect(await running.settle(0)).toEqual({ kind: 'quiet' });
    expect(clock.nextAt).toBe(5);
    await running.stop();
  });

  it('holds through chains in which the last message starts the next effect', async () => {
    let left = 20;
    const actor: ToyActor = {
      initial: [],
      decide: (state, { type }) => ({ state: [...state, type], effects: left > 0 ? [{ type: 'step' }] : [] }),
      perform: async () => {
        await turns(1);
        left -= 1;
        return { type: 'stepped' };
      },
    };
    const { running } = run(toyCast({ config: actor }));
    running.send(toy('config', { type: 'go' }));
    expect(await running.settle(1_000)).toEqual({ kind: 'quiet' });
    expect(left).toBe(0);
    await running.stop();
  });
});

describe('defects', () => {
  const thrower: ToyActor = {
    initial: [],
    decide: (state, { type, does = [] }) => {
      if (type === 'throw') throw new Error('in decide');
      return { state: [...state, type], effects: (does as string[]).map((effect) => ({ type: effect })) };
    },
    // Not async on purpose: a throw before the promise is the same.
    perform: ({ type }) => {
      if (type === 'throw at once') throw new Error(type);
      return turns(1).then(() => Promise.reject(new Error(type)));
    },
  };

  it('reports a throw in decide once; that actor has stopped, its mail does not count, the others go on', async () => {
    const { running, defects, trace } = run(toyCast({ leader: thrower }));
    running.send(
      ...['a', 'throw', 'lost', 'throw'].map((type) => toy('leader', { type })),
      ...['b', 'c'].map((type) => toy('unit', { type })),
    );
    expect(await running.settle(1_000)).toEqual({ kind: 'quiet' });
    running.send(toy('leader', { type: 'throw' }));
    expect(await running.settle(1_000)).toEqual({ kind: 'quiet' });
    expect(defects).toEqual([['leader', new Error('in decide')]]);
    expect(running.stateOf('leader')).toEqual(['a']);
    expect(running.stateOf('unit')).toEqual(['b', 'c']);
    expect(trace.entries().map(({ message }) => message)).toContain('throw (defect)');
    await running.stop();
  });

  for (const type of ['throw at once', 'throw later'])
    it(`reports a ${type} in perform once, and that actor has stopped`, async () => {
      const { running, defects } = run(toyCast({ leader: thrower }));
      const queued = Array.from({ length: 20 }, () => toy('leader', { type: 'b' }));
      running.send(toy('leader', { type: 'a', does: [type] }), ...queued, toy('unit', { type: 'x' }));
      expect(await running.settle(1_000)).toEqual({ kind: 'quiet' });
      running.send(toy('leader', { type: 'c' }));
      await turns(20);
      expect(defects).toEqual([['leader', new Error(type)]]);
      expect((running.stateOf('leader') as string[]).length).toBeLessThan(10);
      expect(running.stateOf('unit')).toEqual(['x']);
      await running.stop();
    });

  it('reports what a listener throws as a defect of the actor it listened to', async () => {
    const { running, defects } = run(toyCast({}));
    running.onDecided(() => {
      throw new Error('in a listener');
    });
    running.send(toy('unit', { type: 'x' }));
    await running.settle(1_000);
    expect(defects).toEqual([['unit', new Error('in a listener')]]);
    await running.stop();
  });

  it('counts right after an actor stopped over the message it was handling', async () => {
    const { actor, begun } = slow();
    const { running, clock } = run(toyCast({ leader: thrower, workload: actor }));
    running.send(toy('leader', { type: 'a', does: ['throw at once'] }));
    await running.settle(1_000);
    running.send(toy('workload', { type: 'x', does: ['e'] }), toy('unit', { type: 'x' }));
    const settled = running.settle(10);
    clock.advance(10);
    expect(await settled).toEqual({ kind: 'stuck', effects: [], messages: 2 });
    await turns();
    begun[0]?.end.resolve(undefined);
    await running.stop();
  });

  it('may be answered by stopping everything', async () => {
    const clock = new SimulatedClock();
    const causes: unknown[] = [];
    const running: Running = runOnNact(toyCast({ leader: thrower }), {
      clock,
      onDefect: (_, cause) => {
        causes.push(cause);
        void running.stop();
      },
    });
    running.send(toy('leader', { type: 'throw' }), toy('unit', { type: 'x' }), toy('unit', { type: 'y' }));
    await turns(4);
    expect(causes).toEqual([new Error('in decide')]);
    expect(running.stateOf('unit')).toEqual([]);
  });
});

describe('stopping', () => {
  it('drops mailboxes, aborts effects and waits for them; their answers and later messages vanish', async () => {
    const { actor, begun } = slow();
    const { running, defects } = run(toyCast({ workload: actor }));
    running.send(toy('workload', { type: 'x', does: ['drain'] }));
    await turns();
    running.send(toy('workload', { type: 'queued' }));
    let stopped = false;
    const stopping = running.stop().then(() => {
      stopped = true;
    });
    expect(begun[0]?.signal.aborted).toBe(true);
    await turns();
    expect(stopped).toBe(false);
    begun[0]?.end.resolve({ type: 'answer' });
    await stopping;
    running.send(toy('workload', { type: 'late' }));
    await turns();
    expect(running.stateOf('workload')).toEqual(['x']);
    expect(defects).toEqual([]);
    expect(await running.settle(0)).toEqual({ kind: 'quiet' });
    await running.stop();
  });

  it('takes the rejection of an aborted effect as its end, and any other as the defect that it is', async () => {
    const { actor, begun } = slow();
    const { running, defects } = run(toyCast({ workload: actor }));
    running.send(toy('workload', { type: 'x', does: ['a', 'b', 'c'] }));
    await turns();
    const stopping = running.stop();
    const [a, b, c] = begun;
    a?.end.reject(a.signal.reason);
    b?.end.reject(new DOMException('ended', 'AbortError'));
    c?.end.reject(new TypeError('a bug'));
    await stopping;
    expect(defects).toEqual([['workload', new TypeError('a bug')]]);
  });

  it('aborts also what the decision of the moment starts afterwards', async () => {
    const { actor, begun } = slow();
    const { running } = run(
      toyCast({
        workload: {
          ...actor,
          perform: async (effect, signal) => {
            if (effect.type === 'first') void running.stop();
            return actor.perform(effect, signal);
          },
        },
      }),
    );
    running.send(toy('workload', { type: 'x', does: ['first', 'second'] }));
    await turns();
    expect(begun.map(({ type, signal }) => [type, signal.aborted])).toEqual([
      ['first', true],
      ['second', true],
    ]);
    for (const { end } of begun) end.resolve(undefined);
    await running.stop();
  });

  it('gives each effect a signal of its own', async () => {
    const { actor, begun } = slow();
    const { running } = run(toyCast({ workload: actor }));
    running.send(toy('workload', { type: 'x', does: ['a', 'b'] }));
    await turns();
    expect(begun[0]?.signal).not.toBe(begun[1]?.signal);
    for (const { end } of begun) end.resolve(undefined);
    await running.stop();
  });

  it('leaves nothing that keeps the process alive', async () => {
    const program = `
      import { runOnNact } from ${JSON.stringify(new URL('../../../src/actors/kit/on-nact.ts', import.meta.url).href)};
      import { createSystemClock } from ${JSON.stringify(new URL('../../../src/infra/clock/system-clock.ts', import.meta.url).href)};
      import { toy, toyCast } from ${JSON.stringify(new URL('./toy.ts', import.meta.url).href)};
      const running = runOnNact(toyCast({}), { clock: createSystemClock(), onDefect: (_, cause) => { throw cause; } });
      running.send(toy('unit', { type: 'x' }));
      const settled = await running.settle(600_000);
      await running.stop();
      process.on('exit', () => console.log(settled.kind, running.stateOf('unit').length));
    `;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: 30_000,
    });
    let said = '';
    child.stdout.on('data', (bytes) => {
      said += String(bytes);
    });
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(said).toBe('quiet 1\n');
  });
});

describe('what only time will bring', () => {
  it('is told as the earliest of all actors, as their states say it, and never when there is none', async () => {
    const dueAfter = (ms: number) => ({
      ...listener,
      dueAt: (state: readonly string[]) => ms * state.length || Number.POSITIVE_INFINITY,
    });
    const { running } = run(toyCast({ client: dueAfter(700), workload: dueAfter(300) }));
    expect(running.dueAt()).toBe(Number.POSITIVE_INFINITY);
    running.send(toy('client', { type: 'one' }));
    await running.settle(1_000);
    expect(running.dueAt()).toBe(700);
    running.send(toy('workload', { type: 'one' }), toy('workload', { type: 'two' }));
    await running.settle(1_000);
    expect(running.dueAt()).toBe(600);
    await running.stop();
  });
});

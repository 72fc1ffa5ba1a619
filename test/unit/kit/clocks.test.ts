import { expect, it } from 'vitest';
import { ProcessClock, SimulatedClock } from '../../../src/actors/kit/simulated-clock.ts';
import { createSystemClock } from '../../../src/infra/clock/system-clock.ts';

it('the system clock rings not before its time, and not at all once disposed', async () => {
  const clock = createSystemClock();
  const early: number[] = [];
  clock.after(0, () => early.push(-1))[Symbol.dispose]();
  const ring = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const since = clock.now();
      clock.after(ms, () => {
        if (clock.now() - since < ms) early.push(ms);
        resolve();
      });
    });
  await Promise.all(Array.from({ length: 200 }, (_, index) => ring(index / 8)));
  expect(early).toEqual([]);
});

it('the system clock does not ring at once for what is further away than its longest timer', async () => {
  const clock = createSystemClock();
  let rang = false;
  using _ = clock.after(10 * 365 * 86_400_000, () => {
    rang = true;
  });
  await new Promise((resolve) => clock.after(5, () => resolve(null)));
  expect(rang).toBe(false);
  expect(Math.abs(clock.wall() - Date.now())).toBeLessThan(1_000);
});

it('the simulated clock rings in order of time, then of setting, and shows the time of each', () => {
  const clock = new SimulatedClock(1_000);
  const rang: string[] = [];
  for (const [name, ms] of [
    ['c', 30],
    ['a', 10],
    ['b', 20],
    ['b too', 20],
  ] as const)
    clock.after(ms, () => rang.push(`${name} ${clock.now()} ${clock.wall()}`));
  clock.after(15, () => rang.push('never'))[Symbol.dispose]();
  clock.after(10, () => clock.after(5, () => rang.push(`nested ${clock.now()}`)));
  clock.advance(20);
  expect(rang).toEqual(['a 10 1010', 'nested 15', 'b 20 1020', 'b too 20 1020']);
  expect(clock.nextAt).toBe(30);
});

it('the clock of a process drifts, holds its timers while halted, and ends with it', () => {
  const world = new SimulatedClock();
  world.advance(1_000);
  const clock = new ProcessClock(world, { now: 5, drift: 2 });
  const rang: string[] = [];
  clock.after(100, () => rang.push(`rang at ${clock.now()}`));
  const disposed = clock.after(100, () => rang.push('never'));
  world.advance(10);
  expect(clock.now()).toBe(25);
  clock.after(20, () => rang.push(`rang at ${clock.now()}`));
  world.advance(9);
  expect(rang).toEqual([]);
  world.advance(1);
  expect(rang.splice(0)).toEqual(['rang at 45']);
  clock.halt();
  world.advance(80);
  disposed[Symbol.dispose]();
  expect(rang).toEqual([]);
  clock.goOn();
  expect(rang).toEqual(['rang at 205']);
  clock.after(1, () => rang.push('never'));
  clock.after(100, () => rang.push('never'));
  clock.halt();
  world.advance(10);
  clock.end();
  clock.goOn();
  world.advance(100);
  expect(rang).toHaveLength(1);
});

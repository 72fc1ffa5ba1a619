import { expect, it } from 'vitest';
import { SimulatedClock } from '../../../src/actors/kit/simulated-clock.ts';
import { startTicker } from '../../../src/actors/kit/ticker.ts';
import type { Clock } from '../../../src/actors/ports/clock.ts';

it('calls back every interval, on the beat of its start, however long a tick takes', () => {
  const clock = new SimulatedClock();
  const ticks: number[] = [];
  using _ = startTicker(clock, 100, () => ticks.push(clock.now()));
  clock.advance(350);
  expect(ticks).toEqual([100, 200, 300]);
});

it('skips the beats that passed during a long turn, and keeps to the beat afterwards', () => {
  const clock = new SimulatedClock();
  const ticks: number[] = [];
  /** Rings 7 ms late, as a busy process does. */
  const late: Clock = {
    now: () => clock.now(),
    wall: () => clock.wall(),
    after: (ms, call) => clock.after(ms + 7, call),
  };
  using _ = startTicker(late, 100, () => {
    ticks.push(clock.now());
    if (ticks.length === 2) clock.advance(250); // A stopped process.
  });
  clock.advance(710);
  expect(ticks).toEqual([107, 207, 507, 607, 707]);
});

it('never calls back again after it was disposed, also when its own tick does that', () => {
  const clock = new SimulatedClock();
  let ticks = 0;
  const outside = startTicker(clock, 100, () => {
    ticks += 1;
  });
  clock.advance(150);
  outside[Symbol.dispose]();
  const inside = startTicker(clock, 100, () => {
    ticks += 1;
    inside[Symbol.dispose]();
  });
  clock.advance(1_000);
  expect(ticks).toBe(2);
  expect(clock.nextAt).toBe(Number.POSITIVE_INFINITY);
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Allotment, allot, type Claim } from '../../../src/actors/config/allot.ts';
import { sharesOf, sum } from '../../../src/actors/model/budget.ts';
import { unit } from '../../support/builders.ts';

const claimOf = (number: number, changes: Partial<Claim> = {}): Claim => ({
  unit: unit(number),
  instances: 2,
  exact: 20,
  granted: 20,
  reserved: 0,
  isCurrent: true,
  held: 20,
  isLive: true,
  ...changes,
});
const grantsOf = (allotments: readonly Allotment[]): readonly number[] => allotments.map(({ granted }) => granted);
const reservesOf = (allotments: readonly Allotment[]): readonly number[] => allotments.map(({ reserved }) => reserved);

describe('shares of a budget', () => {
  it('are the exact ones at rest, with nothing reserved', () => {
    expect(allot(60, [claimOf(0), claimOf(1), claimOf(2)], true)).toEqual(
      [0, 1, 2].map((number) => ({ unit: unit(number), granted: 20, reserved: 0 })),
    );
  });

  it('of a database that nobody had yet are given at once', () => {
    const fresh = { granted: 0, held: 0, isCurrent: false };
    expect(grantsOf(allot(40, [claimOf(0, fresh), claimOf(1, fresh)], true))).toEqual([20, 20]);
  });

  it('shrink before a unit that joins gets its own: two generations', () => {
    const joined = { exact: 15, granted: 0, held: 0, isCurrent: false };
    const first = allot(60, [...[0, 1, 2].map((n) => claimOf(n, { exact: 15 })), claimOf(3, joined)], true);
    expect(grantsOf(first)).toEqual([15, 15, 15, 0]);
    expect(reservesOf(first)).toEqual([20, 20, 20, 0]);
    const between = { exact: 15, granted: 15, reserved: 20 };
    const newcomer = { exact: 15, granted: 0, held: 0 };
    const twoTookIt = [claimOf(0, { ...between, held: 15 }), claimOf(1, { ...between, held: 15 })];
    const waiting = allot(60, [...twoTookIt, claimOf(2, { ...between, isCurrent: false }), claimOf(3, newcomer)], true);
    expect(waiting).toEqual(first);
    const second = allot(60, [...twoTookIt, claimOf(2, { ...between, held: 15 }), claimOf(3, newcomer)], true);
    expect(second).toEqual([0, 1, 2, 3].map((n) => ({ unit: unit(n), granted: 15, reserved: 0 })));
  });

  it('wait for clients that keep what they have in sessions, and after the patience is over give out what is free', () => {
    const between = { exact: 15, granted: 15, reserved: 20 };
    const claims = [
      claimOf(0, { ...between, held: 15 }),
      claimOf(1, { ...between, held: 15 }),
      claimOf(2, { ...between, held: 19 }),
      claimOf(3, { exact: 15, granted: 0, held: 0 }),
    ];
    expect(grantsOf(allot(60, claims, true))).toEqual([15, 15, 15, 0]);
    const impatient = allot(60, claims, false);
    expect(grantsOf(impatient)).toEqual([15, 15, 15, 11]);
    expect(reservesOf(impatient)).toEqual([0, 0, 20, 0]);
  });

  it('of a silent unit stay with it, and the others get what is left', () => {
    const silent = claimOf(2, { exact: 15, isLive: false });
    const claims = [claimOf(0, { exact: 15, held: 15, granted: 15 }), claimOf(1, { exact: 15, held: 15, granted: 15 })];
    const joined = claimOf(3, { exact: 15, granted: 0, held: 0, isCurrent: false });
    const allotted = allot(60, [...claims, silent, joined], true);
    expect(grantsOf(allotted)).toEqual([15, 15, 15, 10]);
    expect(reservesOf(allotted)).toEqual([0, 0, 20, 0]);
  });

  it('of less than one connection for each instance are not given out', () => {
    const claims = [claimOf(0, { exact: 2, granted: 3, held: 3 }), claimOf(1, { exact: 2, granted: 0, held: 0 })];
    expect(grantsOf(allot(4, claims, false))).toEqual([2, 0]);
  });

  it('come back at once where the same ones are still held', () => {
    const lowered = { exact: 20, granted: 10, reserved: 20, isCurrent: false, held: 20 };
    expect(grantsOf(allot(60, [claimOf(0, lowered), claimOf(1, lowered), claimOf(2, lowered)], true))).toEqual([
      20, 20, 20,
    ]);
  });

  it('of a unit that had no limit count as everything until it has taken one', () => {
    const free = { granted: Number.POSITIVE_INFINITY, isCurrent: true, held: 0 };
    const joined = claimOf(2, { granted: 0, held: 0, isCurrent: false });
    const first = allot(60, [claimOf(0, free), claimOf(1, free), joined], false);
    expect(grantsOf(first)).toEqual([20, 20, 0]);
    expect(reservesOf(first)).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0]);
  });
});

/**
 * A fleet whose units take generations when they like, open whatever they may, and tell of it when they like. The leader knows the
 * newest generation and what it was told, nothing else; so each of its decisions might be that of another leader.
 */
class World {
  whole: number;
  readonly units = new Map<number, Actual>();
  spec: { readonly shares: Map<number, Allotment>; readonly whole: number };
  generation = 0;
  /** The budget, or what may be held by what the leader knew when it was lowered below that. */
  ceiling: number;

  constructor(whole: number) {
    this.whole = whole;
    this.ceiling = whole;
    this.spec = { shares: new Map(), whole };
  }

  /** Three units of two instances that have their exact shares in use. */
  static settled(): World {
    const world = new World(60);
    const numbers = [0, 1, 2];
    for (const one of numbers) happen(world, { type: 'join', number: one, instances: 2 });
    world.publish(true);
    for (const type of ['take', 'open', 'tell'] as const)
      for (const one of numbers) happen(world, { type, number: one });
    return world;
  }

  /** What all may have open by what they have taken: the most that anybody could count. */
  get possible(): number {
    return sum([...this.units.values()].map(({ limit, open }) => Math.max(limit, open)));
  }

  get least(): number {
    return sum([...this.units.values()].map(({ instances }) => instances));
  }

  publish(isPatient: boolean): void {
    const numbers = [...this.units.keys()].toSorted((a, b) => a - b);
    const slots = numbers.map((number) => ({ unit: unit(number), instances: this.units.get(number)?.instances ?? 1 }));
    const exact = sharesOf(this.whole, slots);
    const claims = numbers.map((number): Claim => {
      const { bag, instances, isLive } = this.actual(number);
      const share = this.spec.shares.get(number);
      return {
        unit: unit(number),
        instances,
        exact: sum(exact.get(unit(number)) ?? []),
        granted: share?.granted ?? 0,
        reserved: share?.reserved ?? 0,
        isCurrent: bag?.applied === this.generation,
        held: bag?.held ?? 0,
        isLive,
      };
    });
    this.ceiling = Math.max(
      this.whole,
      sum(claims.map((claim) => Math.max(claim.granted, claim.isCurrent ? 0 : claim.reserved, claim.held))),
    );
    const shares = new Map(allot(this.whole, claims, isPatient).map((one, at) => [numbers[at] ?? 0, one]));
    if (JSON.stringify([...shares]) === JSON.stringify([...this.spec.shares]) && this.whole === this.spec.whole) return;
    this.spec = { shares, whole: this.whole };
    this.generation += 1;
  }

  actual(number: number): Actual {
    const found = this.units.get(number);
    if (found === undefined) throw new Error(`there is no unit ${number}`);
    return found;
  }

  /** The unit loads the newest generation. What is open above the new limit stays open. */
  take(number: number): void {
    const one = this.actual(number);
    const share = this.spec.shares.get(number);
    if (!one.isLive || share === undefined) return;
    one.limit = share.granted;
    one.applied = this.generation;
  }

  tell(number: number): void {
    const one = this.actual(number);
    if (one.isLive && one.applied !== null) one.bag = { applied: one.applied, held: Math.max(one.limit, one.open) };
  }
}
interface Actual {
  instances: number;
  isLive: boolean;
  limit: number;
  open: number;
  applied: number | null;
  bag: { readonly applied: number | null; readonly held: number } | null;
}

const number = fc.integer({ min: 0, max: 5 });
const happenings = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: fc.constant('publish' as const), isPatient: fc.boolean() }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('take' as const), number }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('tell' as const), number }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('open' as const), number }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('close' as const), number, left: fc.nat({ max: 60 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('join' as const), number, instances: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('leave' as const), number }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('kill' as const), number }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('restart' as const), number, instances: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('silence' as const), number, isLive: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('budget' as const), whole: fc.integer({ min: 24, max: 90 }) }),
  },
);
type Happening = typeof happenings extends fc.Arbitrary<infer T> ? T : never;

const happen = (world: World, one: Happening): void => {
  if (one.type === 'publish') return world.publish(one.isPatient);
  if (one.type === 'budget') {
    world.whole = one.whole;
    return;
  }
  const unitOf = world.units.get(one.number);
  if (one.type === 'join') {
    if (unitOf === undefined)
      world.units.set(one.number, {
        instances: one.instances,
        isLive: true,
        limit: 0,
        open: 0,
        applied: null,
        bag: null,
      });
    return;
  }
  if (unitOf === undefined) return;
  switch (one.type) {
    case 'take':
      return world.take(one.number);
    case 'tell':
      return world.tell(one.number);
    case 'open':
      unitOf.open = Math.max(unitOf.open, unitOf.limit);
      return;
    case 'close':
      unitOf.open = Math.min(unitOf.open, one.left);
      return;
    case 'leave':
      world.units.delete(one.number);
      return;
    case 'kill':
      // Coordinator and PgBouncers; it starts again with the files it has, and its first words tell of nothing.
      unitOf.open = 0;
      unitOf.bag = { applied: null, held: 0 };
      return;
    case 'restart':
      unitOf.instances = one.instances;
      unitOf.bag = { applied: null, held: 0 };
      return;
    case 'silence':
      unitOf.isLive = one.isLive;
  }
};

describe('any history of rosters, acknowledgements, losses and leaders', () => {
  it('never lets the fleet hold more than the budget', () => {
    const histories = fc.array(
      happenings.filter(({ type }) => type !== 'budget'),
      { minLength: 30, maxLength: 120, size: 'max' },
    );
    fc.assert(
      fc.property(histories, (history) => {
        const world = World.settled();
        for (const one of history) {
          happen(world, one);
          expect(world.possible, JSON.stringify(one)).toBeLessThanOrEqual(60);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('of a fleet whose budget is lowered never lets it hold more than it did, by what the leader knows', () => {
    fc.assert(
      fc.property(fc.array(happenings, { minLength: 30, maxLength: 120, size: 'max' }), (history) => {
        const world = World.settled();
        let largest = 60;
        for (const one of history) {
          happen(world, one);
          largest = Math.max(largest, world.spec.whole);
          expect(world.possible, JSON.stringify(one)).toBeLessThanOrEqual(Math.min(world.ceiling, largest));
        }
      }),
      { numRuns: 500 },
    );
  });

  it('ends in the exact division with nothing reserved, and then nothing is published any more', () => {
    fc.assert(
      fc.property(fc.array(happenings, { maxLength: 60, size: 'max' }), (history) => {
        const world = World.settled();
        for (const one of history) happen(world, one);
        const numbers = [...world.units.keys()].toSorted((a, b) => a - b);
        const calm = (): void => {
          for (const one of numbers) {
            const actual = world.actual(one);
            actual.isLive = true;
            world.take(one);
            actual.open = Math.min(actual.open, actual.limit);
            world.tell(one);
          }
        };
        let generations = 0;
        for (let turn = 0; turn < 6; turn += 1) {
          const before = world.generation;
          calm();
          world.publish(true);
          generations += world.generation - before;
        }
        expect(generations).toBeLessThanOrEqual(3);
        const slots = numbers.map((one) => ({ unit: unit(one), instances: world.actual(one).instances }));
        const exact = sharesOf(world.whole, slots);
        expect([...world.spec.shares.values()]).toEqual(
          slots.map((slot) => ({ unit: slot.unit, granted: sum(exact.get(slot.unit) ?? []), reserved: 0 })),
        );
      }),
      { numRuns: 300 },
    );
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parts, shareOf, smallestBudget } from '../../../src/actors/model/budget.ts';
import type { SlotSpec } from '../../../src/actors/model/fleet-spec.ts';
import { unit } from '../../support/builders.ts';

const fleets: fc.Arbitrary<readonly SlotSpec[]> = fc
  .array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 300 })
  .map((counts) => counts.map((instances, number) => ({ unit: unit(number), instances })));
const totals = fc.integer({ min: 0, max: 262_143 });
const sharesOf = (total: number, slots: readonly SlotSpec[]) =>
  slots.flatMap((slot) => shareOf(total, slots, slot.unit));
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

describe('a budget', () => {
  it('is divided to the last connection, over exactly the instances there are', () => {
    fc.assert(
      fc.property(totals, fleets, (total, slots) => {
        const shares = sharesOf(total, slots);
        expect(shares).toHaveLength(smallestBudget(slots));
        expect(sum(shares)).toBe(total);
      }),
    );
  });

  it('gives the first ones one more where it does not come out even, and nobody two', () => {
    fc.assert(
      fc.property(totals, fleets, (total, slots) => {
        const shares = sharesOf(total, slots);
        expect(shares).toEqual(shares.toSorted((a, b) => b - a));
        expect((shares[0] ?? 0) - (shares.at(-1) ?? 0)).toBeLessThanOrEqual(1);
        expect(shares).toEqual(parts(total, shares.length));
      }),
    );
  });

  it('leaves somebody with nothing exactly when it is smaller than the smallest', () => {
    fc.assert(
      fc.property(totals, fleets, (total, slots) => {
        expect(sharesOf(total, slots).includes(0)).toBe(total < smallestBudget(slots));
      }),
    );
  });

  it('of the reference: 177 over three units of four gives nine instances 15 and three 14', () => {
    const slots = [0, 1, 2].map((number) => ({ unit: unit(number), instances: 4 }));
    expect(slots.map((slot) => shareOf(177, slots, slot.unit))).toEqual([
      [15, 15, 15, 15],
      [15, 15, 15, 15],
      [15, 14, 14, 14],
    ]);
  });

  it('has nothing for a unit outside the fleet, and no shares in an empty one', () => {
    expect(shareOf(100, [{ unit: unit(0), instances: 2 }], unit(1))).toEqual([]);
    expect(shareOf(100, [], unit(0))).toEqual([]);
    expect(parts(5, 0)).toEqual([]);
  });
});

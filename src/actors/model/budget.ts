/**
 * The budget of a database is for the whole fleet and is divided, not multiplied. To PgBouncer 0 means unlimited, so a budget of
 * fewer connections than there are instances must be refused: some of them would get a share of 0.
 */
import type { SlotSpec } from './fleet-spec.ts';
import type { UnitName } from './ids.ts';

/** Shares of one unit, one for each instance of its slot; those of all slots add up to `total` exactly. */
export const shareOf = (total: number, slots: readonly SlotSpec[], unit: UnitName): readonly number[] => {
  const at = slots.findIndex((slot) => slot.unit === unit);
  const before = smallestBudget(slots.slice(0, Math.max(at, 0)));
  const [each, remainder] = divide(total, smallestBudget(slots));
  return Array.from({ length: slots[at]?.instances ?? 0 }, (_, index) => each + (before + index < remainder ? 1 : 0));
};

/** One connection for each instance of the fleet. */
export const smallestBudget = (slots: readonly SlotSpec[]): number =>
  slots.reduce((sum, { instances }) => sum + instances, 0);

/** `total` in as many parts, the first ones larger by one where it does not come out even. */
export const parts = (total: number, count: number): readonly number[] => {
  const [each, remainder] = divide(total, count);
  return Array.from({ length: count }, (_, index) => each + (index < remainder ? 1 : 0));
};

const divide = (total: number, count: number): readonly [each: number, remainder: number] =>
  count === 0 ? [0, 0] : [Math.floor(total / count), total % count];

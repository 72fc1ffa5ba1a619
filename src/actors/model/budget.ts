import type { SlotSpec } from './fleet-spec.ts';
import type { UnitName } from './ids.ts';

/**
 * A unit's shares of a budget that the whole fleet has, one for each of its instances: divided over all instances in roster order,
 * the remainder to the first ones, so that all shares together are the budget exactly. 0 is no limit and stays 0.
 * A unit that is not in the roster has no share: null.
 */
export const sharesOf = (budget: number, slots: readonly SlotSpec[], unit: UnitName): readonly number[] | null => {
  const index = slots.findIndex((slot) => slot.unit === unit);
  const slot = slots[index];
  if (slot === undefined) return null;
  const before = slots.slice(0, index).reduce((sum, { instances }) => sum + instances, 0);
  const all = smallestBudget(slots);
  const least = Math.floor(budget / all);
  const remainder = budget % all;
  return Array.from({ length: slot.instances }, (_, k) => least + (before + k < remainder ? 1 : 0));
};

/** The smallest budget that gives every instance at least one connection; to PgBouncer 0 would mean no limit. */
export const smallestBudget = (slots: readonly SlotSpec[]): number =>
  slots.reduce((sum, { instances }) => sum + instances, 0);

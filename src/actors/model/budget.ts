/**
 * The budget of a database is for the whole fleet and is divided, not multiplied. To PgBouncer 0 means unlimited, so a budget of
 * fewer connections than there are instances must be refused: some of them would get a share of 0.
 */
import type { FleetSpec, SlotSpec } from './fleet-spec.ts';
import type { BudgetKey, UnitName } from './ids.ts';

export interface Budget extends BudgetKey {
  /** 0: no limit. */
  readonly maxConnections: number;
}

export const isSameBudget = (a: BudgetKey, b: BudgetKey): boolean => a.of === b.of && a.name === b.name;

/** Everything in a spec that has a limit. */
export const budgetsIn = ({ databases, users }: Pick<FleetSpec, 'databases' | 'users'>): readonly Budget[] =>
  [
    ...databases.map(({ name, maxConnections }): Budget => ({ of: 'database', name, maxConnections })),
    ...users.map(({ name, maxConnections }): Budget => ({ of: 'login', name, maxConnections })),
  ].filter(({ maxConnections }) => maxConnections > 0);

/** Shares of one unit, one for each instance of its slot; those of all slots add up to `total` exactly. */
export const shareOf = (total: number, slots: readonly SlotSpec[], unit: UnitName): readonly number[] =>
  sharesOf(total, slots).get(unit) ?? [];

/** The same of all units. */
export const sharesOf = (total: number, slots: readonly SlotSpec[]): ReadonlyMap<UnitName, readonly number[]> => {
  const [each, remainder] = divide(total, smallestBudget(slots));
  let before = 0;
  return new Map(
    slots.map(({ unit, instances }) => {
      const shares = Array.from({ length: instances }, (_, index) => each + (before + index < remainder ? 1 : 0));
      before += instances;
      return [unit, shares];
    }),
  );
};

/** Shares as a generation grants them to a unit: exact ones, or of what it has while shares move. Of something that has a limit. */
export const grantOf = (
  { slots, holdings }: Pick<FleetSpec, 'slots' | 'holdings'>,
  budget: Budget,
  unit: UnitName,
): readonly number[] => {
  const exact = shareOf(budget.maxConnections, slots, unit);
  const holding = holdings.find((one) => isSameBudget(one, budget) && one.unit === unit);
  return holding === undefined || holding.granted === sum(exact) ? exact : parts(holding.granted, exact.length);
};

/** One connection for each instance of the fleet. */
export const smallestBudget = (slots: readonly SlotSpec[]): number =>
  slots.reduce((sum, { instances }) => sum + instances, 0);

/** `total` in as many parts, the first ones larger by one where it does not come out even. */
export const parts = (whole: number, count: number): readonly number[] => {
  const [each, remainder] = divide(whole, count);
  return Array.from({ length: count }, (_, index) => each + (index < remainder ? 1 : 0));
};

export const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

const divide = (whole: number, count: number): readonly [each: number, remainder: number] =>
  count === 0 ? [0, 0] : [Math.floor(whole / count), whole % count];

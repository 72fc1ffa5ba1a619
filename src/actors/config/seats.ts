/**
 * Who shares the budget. Each instance needs a connection at least, so a budget has room for so many and no more. Those that have a
 * share keep it when a newcomer does not fit: the fleet goes on serving, and the newcomer waits outside.
 */
import { smallestBudget } from '../model/budget.ts';
import type { SlotSpec } from '../model/fleet-spec.ts';
import type { UnitName } from '../model/ids.ts';
import type { UnitRecord } from '../model/snapshot.ts';

export type Seating =
  | {
      readonly kind: 'seated';
      readonly slots: readonly SlotSpec[];
      readonly unseated: { readonly units: readonly UnitName[]; readonly reason: string } | null;
    }
  | { readonly kind: 'refused'; readonly reason: string };

/** A budget; 0 connections: no limit. */
export interface Limit {
  /** With its number, as its operator knows it. */
  readonly words: string;
  readonly connections: number;
}

/** The smallest budget decides. `seated` null: nobody has a share yet. */
export const seatsFor = (
  limits: readonly Limit[],
  units: readonly UnitRecord[],
  seated: readonly SlotSpec[] | null,
): Seating => {
  const all = units.map(({ unit, instances }): SlotSpec => ({ unit, instances }));
  const [budget] = limits
    .filter(({ connections }) => connections > 0)
    .toSorted((a, b) => a.connections - b.connections);
  if (budget === undefined || smallestBudget(all) <= budget.connections)
    return { kind: 'seated', slots: all, unseated: null };
  const tooSmall = tooSmallFor(budget, all);
  if (seated === null) return { kind: 'refused', reason: tooSmall };
  const had = new Map(seated.map(({ unit, instances }) => [unit, instances]));
  const kept = all.map(({ unit, instances }): SlotSpec => {
    return { unit, instances: Math.min(instances, had.get(unit) ?? 0) };
  });
  let room = budget.connections - smallestBudget(kept);
  if (room < 0) return { kind: 'refused', reason: tooSmall };
  const outside: UnitName[] = [];
  const slots = kept.map(({ unit, instances }, index): SlotSpec => {
    const wanted = all[index]?.instances ?? instances;
    if (wanted - instances > room) {
      outside.push(unit);
      return { unit, instances };
    }
    room -= wanted - instances;
    return { unit, instances: wanted };
  });
  return {
    kind: 'seated',
    slots: slots.filter(({ instances }) => instances > 0),
    unseated: { units: outside, reason: tooSmall },
  };
};

const tooSmallFor = ({ words }: Limit, slots: readonly SlotSpec[]): string => {
  const least = smallestBudget(slots);
  return `${words} is too small for ${least} instances on ${slots.length} units, each needs at least one connection: set it to ${least} or more, to 0 for no limit, or run fewer instances`;
};

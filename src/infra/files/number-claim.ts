import type { UnitName } from '../../actors/model/ids.ts';

/**
 * What the store says to a unit that wants a number. `lookAgain`: all numbers whose folders it has seem held; `heardAt` grows with every
 * sign of life of the holder.
 */
export type Claimed =
  | { readonly kind: 'claimed'; readonly unit: UnitName }
  | { readonly kind: 'lookAgain'; readonly heardAt: ReadonlyMap<UnitName, number> };

/**
 * Asks until a number is ours. A process that was killed a moment ago looks alive until its silence is long enough; so that its
 * restart gets its own number back, a new one is taken only when each holder was seen to live on.
 * `ask`: hears how often it was asked before.
 */
export const claimUnit = async (
  ask: (takeNew: boolean, before: number) => Promise<Claimed>,
  pause: () => Promise<void>,
): Promise<UnitName> => {
  let first: ReadonlyMap<UnitName, number> | undefined;
  let takeNew = false;
  for (let asked = 0; ; asked += 1) {
    const answer = await ask(takeNew, asked);
    if (answer.kind === 'claimed') return answer.unit;
    const before: ReadonlyMap<UnitName, number> = first ?? answer.heardAt;
    first = before;
    takeNew = [...answer.heardAt].every(([unit, heardAt]) => before.get(unit) !== heardAt);
    if (!takeNew) await pause();
  }
};

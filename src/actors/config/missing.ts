/** Units that the newest generation counts on and the roster lacks: they may have left, or not have come back to it yet. */
import { type Nonce, type UnitName, unitNumberOf } from '../model/ids.ts';
import type { UnitRecord } from '../model/snapshot.ts';
import type { ConfigSettings, ConfigState } from './state.ts';

/** Since when each has been missing here. */
export const missingIn = ({ published, units, missing }: ConfigState, now: number): ConfigState['missing'] => {
  if (!published.known || !units.known) return missing;
  const there = new Set(units.value.map(({ unit }) => unit));
  const names = (published.value?.spec.slots ?? []).map(({ unit }) => unit).filter((unit) => !there.has(unit));
  return names.length === 0 && missing.size === 0
    ? missing
    : new Map(names.map((unit) => [unit, missing.get(unit) ?? now]));
};

/**
 * The roster to compose from. A store that lost it hears of its units again one after the other, and PgBouncers go on all the time:
 * whoever is missing is taken for silent, and keeps its share, until it would have come back. Nobody waits for one that was to leave.
 */
export const expectedUnits = (
  { rejoinMs }: ConfigSettings,
  { published, units, missing, intent }: ConfigState,
  now: number,
): readonly UnitRecord[] => {
  const here = units.known ? units.value : [];
  const leaving = new Set<UnitName>(intent.known ? intent.value?.departures.map(({ unit }) => unit) : []);
  const late = ((published.known ? published.value?.spec.slots : null) ?? []).filter(({ unit }) => {
    const since = missing.get(unit);
    return since !== undefined && now - since < rejoinMs && !leaving.has(unit);
  });
  if (late.length === 0) return here;
  const silent = late.map(({ unit, instances }): UnitRecord => {
    return { unit, instances, nonce: '' as Nonce, silentMs: 0, presence: 'silent', bag: null };
  });
  return [...here, ...silent].toSorted((a, b) => unitNumberOf(a.unit) - unitNumberOf(b.unit));
};

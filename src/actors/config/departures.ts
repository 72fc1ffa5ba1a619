import type { Change } from '../model/change.ts';
import { departureOf, type Intent } from '../model/intent.ts';
import type { UnitRecord } from '../model/snapshot.ts';
import { type Changed, changed, invalid, refused } from './changed.ts';

export const removeUnit = (
  intent: Intent,
  { unit, force }: Extract<Change, { type: 'removeUnit' }>,
  units: readonly UnitRecord[],
): Changed => {
  const record = units.find((one) => one.unit === unit);
  if (record === undefined)
    return invalid('unit', `there is no unit ${unit} (there are: ${units.map((one) => one.unit).join(', ')})`);
  const earlier = departureOf(intent, record);
  if (earlier !== null && (earlier.forced || !force)) return { kind: 'unchanged' };
  if (record.presence === 'silent' && !force)
    return refused(
      `${unit} is silent and its PgBouncers may well serve, with its share of the connections: end them on its machine, or start its coordinator and ask again; ask with --force to take it off the roster as it is`,
    );
  const stay = units.filter((one) => one !== record && one.presence === 'live' && departureOf(intent, one) === null);
  if (record.presence === 'live' && stay.length === 0 && !force)
    return refused(
      `${unit} is the last unit that serves, and every client would be cut: stop its process to end the fleet, or ask with --force`,
    );
  const departure = { unit, nonce: record.nonce, forced: force };
  return changed({ ...intent, departures: [...intent.departures.filter((one) => one !== earlier), departure] });
};

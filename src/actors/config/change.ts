import type { Change } from '../model/change.ts';
import type { RelationId, WallMs } from '../model/ids.ts';
import { type Departure, type Intent, unreadableIn, withoutUnreadable } from '../model/intent.ts';
import { same } from '../model/same.ts';
import type { RelationRecord, UnitRecord } from '../model/snapshot.ts';
import { quoted } from '../model/quoted.ts';
import { addBackend, removeBackend } from './backend-intent.ts';
import { type Changed, changed, invalid, refused } from './changed.ts';
import { addClient } from './client-intent.ts';
import { removeUnit } from './departures.ts';
import { applyFleet } from './fleet.ts';
import { setOptions } from './options.ts';

export interface About {
  readonly application: string;
  readonly author: string;
  readonly reason: string;
  readonly wall: WallMs;
}

/** What an application asks for that nobody has asked anything of: defaults, no relations. */
export const emptyIntent: Intent = {
  version: 0,
  author: '',
  reason: '',
  at: 0 as WallMs,
  nextRelation: 1 as RelationId,
  options: {},
  backends: {},
  clients: {},
  departures: [],
  unreadable: [],
};

/**
 * The intent that follows from a change, or why there is none. `records` are relations that are not gone yet; `units` the roster,
 * null while it is not known.
 */
export const changeIntent = (
  before: Intent | null,
  change: Change,
  about: About,
  records: readonly RelationRecord[],
  units: readonly UnitRecord[] | null,
): Changed => {
  const intent = before ?? emptyIntent;
  const wished = wish(intent, change, about.application, records, units);
  if (wished.kind !== 'changed') return wished;
  return same(wished.intent, intent)
    ? { kind: 'unchanged' }
    : {
        kind: 'changed',
        intent: {
          ...wished.intent,
          departures: stillThere(wished.intent.departures, units),
          version: intent.version + 1,
          author: about.author,
          reason: about.reason,
          at: about.wall,
        },
      };
};

/** Wishes about lives that are over are forgotten. */
const stillThere = (departures: readonly Departure[], units: readonly UnitRecord[] | null): readonly Departure[] =>
  units === null
    ? departures
    : departures.filter(({ unit, nonce }) => units.some((one) => one.unit === unit && one.nonce === nonce));

const wish = (
  intent: Intent,
  change: Change,
  application: string,
  records: readonly RelationRecord[],
  units: readonly UnitRecord[] | null,
): Changed => {
  switch (change.type) {
    case 'setOptions':
      return setOptions(intent, change.options);
    case 'addBackend':
      return addBackend(intent, change);
    case 'addClient':
      return addClient(intent, change, records);
    case 'removeRelation':
      return removeRelation(intent, change.name, records);
    case 'removeUnit':
      return units === null
        ? refused('this unit has not read the roster yet: ask again in a moment')
        : removeUnit(intent, change, units);
    case 'applyFleet':
      return applyFleet(intent, change, application, records);
  }
};

const removeRelation = (intent: Intent, name: string, records: readonly RelationRecord[]): Changed => {
  if (Object.hasOwn(intent.clients, name)) {
    const { [name]: _, ...clients } = intent.clients;
    return changed({ ...intent, clients });
  }
  if (unreadableIn(intent, 'clients', name) !== undefined)
    return changed({ ...intent, unreadable: withoutUnreadable(intent, 'clients', new Set([name])) });
  if (Object.hasOwn(intent.backends, name) || unreadableIn(intent, 'backends', name) !== undefined)
    return removeBackend(intent, name, records);
  const names = [...Object.keys(intent.backends), ...Object.keys(intent.clients)];
  return invalid(
    'name',
    `there is no relation ${quoted(name)}${names.length === 0 ? '' : ` (there are: ${names.join(', ')})`}`,
  );
};

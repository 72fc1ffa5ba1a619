import { type Application, unitNameOf } from '../../../actors/model/ids.ts';
import type { FleetStatus, UnitStatus } from '../../../actors/model/status.ts';
import { aboutName, askFor } from '../change.ts';
import { unitNamed } from '../unit-number.ts';
import { print, type Verb, waitFlags } from '../verb.ts';
import { type Look, patienceOf, waitUntil } from '../waiting.ts';

export const removeUnitVerb: Verb = {
  name: 'remove-unit',
  summary: 'drain a unit, stop it and take it off the roster',
  usage: 'UNIT [--force]',
  takes: { least: 1, most: 1 },
  flags: {
    force: { help: 'also when it is silent (its PgBouncers may well serve), or the last one that serves' },
    ...waitFlags,
  },
  run: async (given, context) => {
    const [text = ''] = given.words;
    const patience = patienceOf(given);
    const { application, number } = await unitNamed(text, context);
    const unit = unitNameOf(application as Application, number);
    const before = await context.api.status(context.signal);
    const kept = await askFor(context, { type: 'removeUnit', unit, force: given.has('force') }, null, aboutName);
    const isLast = !before.units.some((one) => one.unit !== unit && isHere(one) && !one.leaving);
    if (patience === null || isLast) {
      const rest = isLast ? ': it drains and ends, and as the last one it leaves nobody to confirm that' : '';
      print(
        context,
        given,
        { ...kept, unit },
        `the departure of ${unit} is kept (version ${kept.version} of the intent)${rest}`,
      );
      return;
    }
    const { again } = await waitUntil(context, patience, goneLook(unit, kept.version));
    const said = again
      ? `that life of ${unit} is gone, and another one has joined since: stop what starts it again, then ask once more`
      : `${unit} is gone from the roster: its number and its share of the connections are free`;
    print(context, given, { ...kept, unit, removed: true, again }, said);
  },
};

const isHere = ({ status }: UnitStatus): boolean => status !== 'down' && status !== 'unknown';

const goneLook =
  (unit: string, version: number) =>
  ({ intent, units, answeredBy }: FleetStatus): Look<{ readonly again: boolean }> => {
    if ((intent?.version ?? 0) < version) return { kind: 'pending', on: 'the unit to read the change' };
    const found = units.find((one) => one.unit === unit);
    if (found === undefined) return { kind: 'done', value: { again: false } };
    if (found.leaving)
      return { kind: 'pending', on: `${unit} to leave (${found.message === '' ? found.status : found.message})` };
    // The unit itself says this last, before its process ends.
    const isFarewell = answeredBy === unit && found.status === 'down';
    return { kind: 'done', value: { again: !isFarewell } };
  };

import type { FleetStatus, RelationStatus } from '../../../actors/model/status.ts';
import { aboutName, askFor } from '../change.ts';
import { print, type Verb, waitFlags } from '../verb.ts';
import { type Look, patienceOf, waitUntil } from '../waiting.ts';

export const removeRelationVerb: Verb = {
  name: 'remove-relation',
  summary: 'remove a client or a backend; databases stay',
  usage: 'NAME',
  takes: { least: 1, most: 1 },
  flags: waitFlags,
  run: async (given, context) => {
    const [name = ''] = given.words;
    const patience = patienceOf(given);
    const { relations } = await context.api.status(context.signal);
    const named = relations.filter((relation) => relation.name === name);
    const relation = named.find(({ life }) => life === 'alive') ?? named[0];
    // Asked for before and not over yet: then there is nothing to ask, but something to wait for.
    const version =
      relation?.life === 'dying'
        ? 0
        : (await askFor(context, { type: 'removeRelation', name }, null, aboutName)).version;
    if (patience === null) {
      const said = version === 0 ? 'was asked for before' : `is kept (version ${version} of the intent)`;
      print(context, given, { version }, `the removal of ${name} ${said}`);
      return;
    }
    await waitUntil(context, patience, goneLook(name, relation, version));
    const database = relation?.database ?? null;
    print(context, given, { version, removed: name, databaseKept: database }, farewell(name, database));
  },
};

const farewell = (name: string, database: string | null): string =>
  database === null
    ? `${name} is removed; nothing was changed in PostgreSQL`
    : `${name} is removed: its login is gone, database ${database} stays in PostgreSQL with everything in it`;

/** A unit that has not heard of the removal yet says nothing about it. */
const goneLook =
  (name: string, relation: RelationStatus | undefined, version: number) =>
  ({ intent, relations }: FleetStatus): Look<null> => {
    if ((intent?.version ?? 0) < version) return { kind: 'pending', on: 'the unit to read the change' };
    const left = relations.find((one) => one.name === name && (relation === undefined || one.id === relation.id));
    return left === undefined
      ? { kind: 'done', value: null }
      : { kind: 'pending', on: `the removal of ${name}${left.message === '' ? '' : ` (${left.message})`}` };
  };

/** A whole fleet at once, as a file says it: one intent, or all that is wrong with the file. */
import type { OptionProblem } from '../../pgbouncer/catalogue.ts';
import { timeoutWords } from '../../pgbouncer/client-settings.ts';
import type { FleetChange, SettingsChange } from '../model/change.ts';
import { clientTimeouts, type Intent, withoutUnreadable } from '../model/intent.ts';
import type { RelationRecord } from '../model/snapshot.ts';
import { addBackend, removeBackend } from './backend-intent.ts';
import { type Changed, changed, refused } from './changed.ts';
import { addClient } from './client-intent.ts';
import { setOptions } from './options.ts';

export const applyFleet = (
  before: Intent,
  change: FleetChange,
  application: string,
  records: readonly RelationRecord[],
): Changed => {
  if (change.application !== null && change.application !== application)
    return refused(
      `it is meant for application "${change.application}", and this is "${application}": ask a unit of that one, or change the name in the file`,
    );
  const problems: OptionProblem[] = [];
  const refusals: string[] = [];
  let intent = before;
  const take = (path: string, outcome: Changed): boolean => {
    if (outcome.kind === 'changed') intent = outcome.intent;
    if (outcome.kind === 'invalid')
      problems.push(...outcome.problems.map((problem) => ({ ...problem, path: `${path}${problem.path}` })));
    if (outcome.kind === 'refused') refusals.push(outcome.reason);
    return outcome.kind === 'changed';
  };
  const { prune } = change;
  take('', setOptions(prune ? withoutOptions(intent) : intent, change.options));
  if (prune) intent = withoutOthers(intent, change);
  const broken = new Set(
    entriesOf(change.backends)
      .filter(([name, { maintenanceDatabase, ...backend }]) => {
        const database = maintenanceDatabase ?? (prune ? 'postgres' : null);
        const asked = { type: 'addBackend', name, ...backend, maintenanceDatabase: database } as const;
        return !take(`backends.${name}.`, addBackend(intent, asked));
      })
      .map(([name]) => name),
  );
  for (const [name, client] of entriesOf(change.clients)) {
    const asked = { type: 'addClient', name, ...(prune ? completed(client) : client) } as const;
    const outcome = addClient(intent, asked, records);
    // What is wrong with a backend is told once, and not again for each of its clients.
    const follows = broken.size > 0 && (asked.backend === null || broken.has(asked.backend));
    if (!(follows && (outcome.kind === 'refused' || isAboutBackend(outcome)))) take(`clients.${name}.`, outcome);
  }
  if (prune)
    // What it serves until now has to go first, and that takes its time.
    for (const name of backendsIn(before).filter((one) => !Object.hasOwn(change.backends, one)))
      take(`backends.${name}.`, withRemoved(removeBackend(before, name, records), intent, name));
  if (problems.length > 0)
    return { kind: 'invalid', problems: [...problems, ...refusals.map((reason) => ({ path: 'fleet', reason }))] };
  return refusals.length > 0 ? refused(refusals.join('; ')) : changed(intent);
};

/** Paths of what is asked for and not in the file, in its words. */
export const notNamed = (
  intent: Intent | null,
  { options, backends, clients, prune }: FleetChange,
): readonly string[] => {
  if (prune || intent === null) return [];
  const others = (asked: object, named: object): readonly string[] =>
    namesIn(asked).filter((name) => !Object.hasOwn(named, name));
  return [
    ...others(intent.options, options).map((key) => `options.${key}`),
    ...others(intent.backends, backends).map((name) => `backends.${name}`),
    ...entriesOf(intent.clients).flatMap(([name, { poolMode, budget, timeouts, extraUserRoles }]) => {
      const named = Object.hasOwn(clients, name) ? clients[name] : undefined;
      if (named === undefined) return [`clients.${name}`];
      const { settings = {} } = named;
      const kept = [
        ...(extraUserRoles.length > 0 && named.extraUserRoles === null ? ['extra-user-roles'] : []),
        ...(poolMode !== null && settings.poolMode === undefined ? ['pool-mode'] : []),
        ...(budget !== null && settings.budget === undefined ? ['budget'] : []),
        ...clientTimeouts
          .filter((timeout) => timeouts[timeout] !== undefined && settings.timeouts?.[timeout] === undefined)
          .map((timeout) => timeoutWords[timeout].word),
      ];
      return kept.map((field) => `clients.${name}.${field}`);
    }),
  ];
};

type ClientInFile = FleetChange['clients'][string];

/** Names are keys of files of others: in an order of their own, so that equal files have equal outcomes. */
const namesIn = (record: object): readonly string[] => Object.keys(record).toSorted();
const entriesOf = <T>(record: Readonly<Record<string, T>>): readonly (readonly [string, T])[] =>
  Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1));

const withoutOptions = (intent: Intent): Intent => ({
  ...intent,
  options: {},
  unreadable: intent.unreadable.filter(({ of }) => of !== 'options'),
});

const backendsIn = (intent: Intent): readonly string[] => [
  ...namesIn(intent.backends),
  ...intent.unreadable.flatMap(({ of, name }) => (of === 'backends' ? [name] : [])),
];

/** Without the clients that a file does not name. */
const withoutOthers = (intent: Intent, { clients }: FleetChange): Intent => ({
  ...intent,
  clients: Object.fromEntries(Object.entries(intent.clients).filter(([name]) => Object.hasOwn(clients, name))),
  unreadable: intent.unreadable.filter(({ of, name }) => of !== 'clients' || Object.hasOwn(clients, name)),
});

/** A client as the file says it and not otherwise. */
const completed = ({ settings = {}, extraUserRoles, ...client }: ClientInFile): ClientInFile => ({
  ...client,
  extraUserRoles: extraUserRoles ?? [],
  settings: {
    poolMode: settings.poolMode ?? null,
    budget: settings.budget ?? null,
    timeouts: Object.fromEntries(
      clientTimeouts.map((timeout) => [timeout, settings.timeouts?.[timeout] ?? null]),
    ) satisfies SettingsChange['timeouts'],
  },
});

const isAboutBackend = (outcome: Changed): boolean =>
  outcome.kind === 'invalid' && outcome.problems.every(({ path }) => path === 'backend');

const withRemoved = (outcome: Changed, intent: Intent, name: string): Changed => {
  const { [name]: _, ...backends } = intent.backends;
  const unreadable = withoutUnreadable(intent, 'backends', new Set([name]));
  return outcome.kind === 'changed' ? changed({ ...intent, backends, unreadable }) : outcome;
};

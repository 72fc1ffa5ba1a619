import type { FleetStatus, RelationStatus, UnitStatus } from '../../actors/model/status.ts';

/** What a person would tell of the later of two statuses, a sentence for each thing that is new or different. */
export const changesIn = (before: FleetStatus | null, after: FleetStatus): readonly string[] => {
  const [was, is] = [before === null ? new Map<string, string>() : factsIn(before), factsIn(after)];
  const changed = [...is].filter(([thing, fact]) => was.get(thing) !== fact);
  const gone = [...was.keys()].filter((thing) => !is.has(thing));
  return [...changed.map(([thing, fact]) => `${thing}: ${fact}`), ...gone.map((thing) => `${thing}: gone`)];
};

/** Things with what is so about them, without what only time changes. */
const factsIn = (status: FleetStatus): ReadonlyMap<string, string> => {
  const { leader, generation, intent, backplane, units, relations } = status;
  const { published, good, refused } = generation;
  return new Map([
    ['leader', leader === null ? 'nobody' : `${leader.unit}, epoch ${leader.epoch}`],
    ['backplane', withMessage(`${backplane.kind}, ${backplane.state}`, backplane.message)],
    ['intent', intent === null ? 'none yet' : `version ${intent.version}, by ${intent.author}`],
    [
      'generation',
      published === null ? 'none yet' : `${published} published, ${good ?? 'none'} verified by every unit`,
    ],
    ...(refused === null
      ? []
      : [['refused', `version ${refused.intentVersion} of the intent: ${refused.reason}`] as const]),
    ...units.map((unit) => [unit.unit, unitFact(unit)] as const),
    ...relations.map((relation) => [nameOf(relation), relationFact(relation)] as const),
  ]);
};

const unitFact = ({ status, message, leaving, generation, instances }: UnitStatus): string => {
  const serving = instances.filter(({ state }) => state === 'serving').length;
  const facts = [
    `${status}${leaving ? ', leaving' : ''}`,
    generation.applied === null ? 'no generation yet' : `generation ${generation.applied}`,
    `${serving} of ${instances.length} instances serve`,
  ];
  return withMessage(facts.join(', '), message);
};

const nameOf = ({ endpoint, name, id }: RelationStatus): string =>
  `${endpoint === 'database' ? 'client' : 'backend'} ${name} (relation ${id})`;

const relationFact = ({ life, state, message }: RelationStatus): string =>
  withMessage(life === 'dying' ? 'dying' : state, message);

const withMessage = (fact: string, message: string): string => (message === '' ? fact : `${fact}; ${message}`);

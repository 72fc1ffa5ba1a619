import { lack } from '../model/wait-catalogue.ts';
import type { Intent } from '../model/intent.ts';
import { quoted } from '../model/quoted.ts';
import type { Lack } from '../model/waits.ts';
import type { Composed } from './compose.ts';
import { type ConfigState, factsFor } from './state.ts';

/** What is missing before the next generation can be published, or what must change for it. */
export const lacksOf = (state: ConfigState): readonly Lack[] => {
  const lacks: Lack[] = [];
  if (!state.intent.known) lacks.push(lack.intent({}));
  if (state.leadership === null) return lacks;
  if (!state.clients.known) lacks.push(lack.clients({}));
  if (state.intent.known) {
    lacks.push(...lacksOfEntries(state.intent.value?.unreadable ?? []));
    const seen = factsFor(state);
    const names = Object.keys(state.intent.value?.backends ?? {}).filter((name) => seen?.has(name) !== true);
    if (names.length > 0 || seen === null) lacks.push(lack.backendFacts({ names }));
  }
  if (state.composed?.kind === 'refused') lacks.push(lack.budget({ reason: state.composed.reason }));
  if (state.composed?.kind === 'composed') lacks.push(...lacksOfBudget(state.composed));
  const { refused, good } = state.verdict;
  if (refused !== null)
    lacks.push(
      lack.intentRefused({ version: refused.intentVersion, reason: refused.reason, good: good?.generation ?? null }),
    );
  return lacks;
};

/** Each is told in the bag of the leader, which has room for so many. */
const mostTold = 20;
const lacksOfEntries = (unreadable: Intent['unreadable']): readonly Lack[] =>
  unreadable.slice(0, mostTold).map(({ of, name, reason }) => {
    const about = {
      name: isPlain(name) ? name : quoted(name),
      reason,
      others: Math.max(unreadable.length - mostTold, 0),
    };
    switch (of) {
      case 'options':
        return lack.optionEntry(about);
      case 'backends':
        return lack.backendEntry(about);
      case 'clients':
        return lack.clientEntry(about);
    }
  });
const isPlain = (name: string): boolean => /^[a-z][a-z0-9_-]{0,62}$/.test(name);

const lacksOfBudget = ({ unseated, overdue }: Extract<Composed, { kind: 'composed' }>): readonly Lack[] => [
  ...(unseated === null ? [] : [lack.budgetRoom(unseated)]),
  ...[...Map.groupBy(overdue, ({ of, name }) => `${of}:${name}`).values()].flatMap((late) =>
    late.slice(0, 1).map(({ of, name }) => lack.budgetMoves({ of, name, late })),
  ),
];

/** What became of one test. */
export interface Outcome {
  readonly test: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  /** In a line, unless it passed. */
  readonly why?: string | undefined;
}

export interface Tally {
  readonly passed: number;
  readonly failed: number;
}

/** A test that ran several times counts once, by the worst that became of it. */
export const tallyOf = (outcomes: readonly Outcome[]): Tally => {
  const worst = new Map<string, Outcome['outcome']>();
  for (const { test, outcome } of outcomes) worst.set(test, worseOf(worst.get(test) ?? 'skipped', outcome));
  const count = (wanted: Outcome['outcome']) => [...worst.values()].filter((outcome) => outcome === wanted).length;
  return { passed: count('passed'), failed: count('failed') };
};

export const lineOf = ({ passed, failed }: Tally): string => `${passed} passed, ${failed} failed`;

/** A list with a heading, for what failed or was skipped; empty when nothing was. */
export const listOf = (
  heading: string,
  outcomes: readonly Outcome[],
  wanted: 'failed' | 'skipped',
): readonly string[] => {
  const chosen = outcomes.filter(({ outcome }) => outcome === wanted);
  const lines = chosen.map(({ test, why }) => `  ${test}: ${why ?? wanted}`);
  return lines.length === 0 ? [] : [heading, ...[...new Set(lines)].toSorted()];
};

const order = ['skipped', 'passed', 'failed'] as const;

const worseOf = (a: Outcome['outcome'], b: Outcome['outcome']): Outcome['outcome'] =>
  order.indexOf(a) > order.indexOf(b) ? a : b;

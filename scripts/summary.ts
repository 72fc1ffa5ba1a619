/** What failed in all the test runs whose outcomes are in a file, and one tally; fails when a test did, or when none was executed. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { lineOf, listOf, tallyOf } from './tally.ts';

const outcome = z.object({
  test: z.string(),
  outcome: z.enum(['passed', 'failed', 'skipped']),
  why: z.string().optional(),
});
const [file = ''] = process.argv.slice(2);
const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
const outcomes = lines.map((line) => outcome.parse(JSON.parse(line)));
const tally = tallyOf(outcomes);
for (const line of listOf('Failed:', outcomes, 'failed')) console.log(line);
console.log(lineOf(tally));
process.exitCode = tally.failed > 0 || tally.passed === 0 ? 1 : 0;

/** One tally of all the test runs whose outcomes are in a file; fails when a test did, or when none was executed. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { lineOf, tallyOf } from './tally.ts';

const outcome = z.object({ test: z.string(), outcome: z.enum(['passed', 'failed', 'skipped']) });
const [file = ''] = process.argv.slice(2);
const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
const tally = tallyOf(lines.map((line) => outcome.parse(JSON.parse(line))));
console.log(lineOf(tally));
process.exitCode = tally.failed > 0 || tally.passed === 0 ? 1 : 0;

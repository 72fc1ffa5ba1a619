/** `npm run bench [-- --json]`: the budgets as figures, each beside its floor from the same run. */
import { dispatchOfNothing } from './dispatch.ts';
import { openBenchFleet } from './fleet.ts';
import { leaderKilled, leaderStopped } from './hand-over.ts';
import { idle } from './idle.ts';
import { propagation } from './propagation.ts';
import { reportText, type Row } from './report.ts';
import { throughput } from './throughput.ts';

const json = process.argv.includes('--json');
const rows: Row[] = [];
{
  await using bench = await openBenchFleet(3, 2);
  rows.push(await propagation(bench, 250), await throughput(bench), ...(await idle(bench)));
  rows.push(await leaderStopped(bench), await leaderKilled(bench));
}
{
  await using bench = await openBenchFleet(30, 2);
  rows.push(await propagation(bench, 500));
}
rows.push(...(await dispatchOfNothing()));
process.stdout.write(json ? `${JSON.stringify({ rows })}\n` : `${reportText(rows)}\n`);

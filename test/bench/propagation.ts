import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createSystemClock } from '../../src/infra/clock/system-clock.ts';
import { consoleAt } from '../../src/infra/console/console.ts';
import { writeAtomic } from '../../src/infra/files/atomic-file.ts';
import { Watch } from '../support/fleet-watch.ts';
import type { BenchFleet } from './fleet.ts';
import { percentile, type Row, rounded } from './report.ts';

const rounds = 40;
const p95 = 0.95;

/** An option changed at one unit until every unit has verified it, against writing, reloading and reading all instances by hand. */
export const propagation = async (bench: BenchFleet, budgetMs: number): Promise<Row> => {
  const floors: number[] = [];
  const values: number[] = [];
  await using hand = await openHand(bench);
  using watch = new Watch(bench.api(0));
  for (let round = 0; round < rounds; round += 1) {
    // In turns, so that both meet the same noise.
    floors.push(await hand.once());
    values.push(await changeOnce(bench, watch, 1_000 + round));
  }
  const value = rounded(percentile(values, p95));
  const floor = rounded(percentile(floors, p95));
  const ratio = rounded(value / floor);
  const units = bench.fleet.units.length;
  const name = `option changed → verified by ${units} units × ${bench.instances} instances, p95 of ${rounds}`;
  const holds = value <= budgetMs && ratio <= 4;
  return { name, value, unit: 'ms', floor, ratio, budget: `${budgetMs} ms and ≤ 4 × floor`, holds };
};

const changeOnce = async ({ api }: BenchFleet, watch: Watch, seconds: number): Promise<number> => {
  const { signal } = new AbortController();
  const startedAt = performance.now();
  const outcome = await api(0).change({ type: 'setOptions', options: { query_wait_timeout: seconds } }, signal);
  if (outcome.kind !== 'accepted') throw new Error(`the change was not accepted: ${JSON.stringify(outcome)}`);
  await watch.until(
    ({ generation }) => (generation.intentVersion ?? 0) >= outcome.version && generation.good === generation.published,
  );
  return performance.now() - startedAt;
};

interface Hand extends AsyncDisposable {
  /** Milliseconds for all instances. */
  once(): Promise<number>;
}

/** As the best script would: files replaced, consoles kept open, all instances side by side. */
const openHand = async ({ fleet, account, runDir, instances }: BenchFleet): Promise<Hand> => {
  const clock = createSystemClock();
  const places = fleet.units.flatMap(({ number }) =>
    Array.from({ length: instances }, (_, index) => ({
      ini: join(fleet.directory, `unit-${number}`, `pgbouncer-${number}`, 'instances', `${index + 1}`, 'pgbouncer.ini'),
      console: consoleAt(clock, join(runDir, `pgbouncer-${number}`, `${index + 1}`), fleet.listenPort),
    })),
  );
  const patience = { withinMs: 5_000, signal: new AbortController().signal };
  const all = async (): Promise<number> => {
    const texts = await Promise.all(places.map(({ ini }) => readFile(ini, 'utf8')));
    const startedAt = performance.now();
    await Promise.all(
      places.map(async ({ ini, console }, index) => {
        await writeAtomic(ini, texts[index] ?? '', 0o400);
        const reloaded = await console.command('RELOAD', patience);
        const shown = await console.show('config', patience);
        if (reloaded.kind !== 'answered' || shown.kind !== 'answered') throw new Error('an instance did not answer');
      }),
    );
    return performance.now() - startedAt;
  };
  // The console lets in who has the user id of the process, and the files must stay its own.
  const asAccount = async (work: () => Promise<number>): Promise<number> => {
    const isRoot = process.getuid?.() === 0;
    if (isRoot) process.seteuid?.(account.uid);
    try {
      return await work();
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  };
  await asAccount(all); // Connects.
  return {
    once: () => asAccount(all),
    [Symbol.asyncDispose]: async () => places.forEach(({ console }) => console[Symbol.dispose]()),
  };
};

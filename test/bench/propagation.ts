import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createSystemClock } from '../../src/infra/clock/system-clock.ts';
import { consoleAt } from '../../src/infra/console/console.ts';
import { writeAtomic } from '../../src/infra/files/atomic-file.ts';
import { findBinary } from '../../src/infra/local/binaries.ts';
import { dryRunCopy } from '../../src/pgbouncer/dry-run.ts';
import { Watch } from '../support/fleet-watch.ts';
import type { BenchFleet } from './fleet.ts';
import { median, percentile, type Row, rounded } from './report.ts';

const rounds = 40;
const p95 = 0.95;

/** An option changed at one unit until every unit has verified it, against writing, reloading and reading all instances by hand. */
export const propagation = async (bench: BenchFleet, budgetMs: number): Promise<Row> => {
  const floors: number[] = [];
  const proofs: number[] = [];
  const values: number[] = [];
  await using hand = await openHand(bench);
  using watch = new Watch(bench.api(0));
  for (let round = 0; round < rounds; round += 1) {
    // In turns, so that both meet the same noise.
    floors.push(await hand.once());
    proofs.push(await hand.proof());
    values.push(await changeOnce(bench, watch, 1_000 + round));
  }
  const value = rounded(percentile(values, p95));
  const floor = rounded(percentile(floors, p95));
  const ratio = rounded(value / floor);
  const units = bench.fleet.units.length;
  const name = `option changed → verified by ${units} units × ${bench.instances} instances, p95 of ${rounds}`;
  const holds = value <= budgetMs && ratio <= 4;
  const note = holds ? '' : noteOf(proofs, floors, values);
  return { name, value, unit: 'ms', floor, ratio, budget: `${budgetMs} ms and ≤ 4 × floor`, holds, note };
};

/** The floor proves nothing before it reloads; Troupe does, with the real program, and that alone is most of the difference. */
const noteOf = (proofs: readonly number[], floors: readonly number[], values: readonly number[]): string => {
  const [proof, floor, value] = [median(proofs), median(floors), median(values)];
  return (
    `medians: ${rounded(value)} ms, the floor ${rounded(floor)} ms; ` +
    `dry runs of the same files by hand, side by side on ${availableParallelism()} processors, take ${rounded(proof)} ms: ` +
    `floor with proof ${rounded(floor + proof)} ms, × ${rounded(value / (floor + proof))}`
  );
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
  /** Milliseconds for all instances: written, reloaded, read back. */
  once(): Promise<number>;
  /** Milliseconds for a dry run of the file of every unit, which is one for all of its instances. */
  proof(): Promise<number>;
}

/** As the best script would: files replaced, consoles kept open, all instances side by side. */
const openHand = async (bench: BenchFleet): Promise<Hand> => {
  const { fleet, account, runDir } = bench;
  const clock = createSystemClock();
  const places = placesOf(bench).map(({ number, instance, ini }) => ({
    ini,
    console: consoleAt(clock, join(runDir, `pgbouncer-${number}`, `${instance}`), fleet.listenPort),
  }));
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
  const copies = await copiesOf(bench);
  return {
    once: () => asAccount(all),
    proof: () => asAccount(() => prove(copies)),
    [Symbol.asyncDispose]: async () => places.forEach(({ console }) => console[Symbol.dispose]()),
  };
};

const placesOf = ({ fleet, instances }: BenchFleet) =>
  fleet.units.flatMap(({ number }) =>
    Array.from({ length: instances }, (_, index) => {
      const state = join(fleet.directory, `unit-${number}`, `pgbouncer-${number}`);
      return { number, instance: index + 1, ini: join(state, 'instances', `${index + 1}`, 'pgbouncer.ini') };
    }),
  );

/** What the units give to the real program before they write anything, without what its instances have in common twice. */
const copiesOf = async (bench: BenchFleet): Promise<readonly string[]> => {
  const directory = join(bench.runDir, 'proofs');
  await mkdir(directory, { recursive: true, mode: 0o755 });
  const copies = new Map<string, string>();
  for (const { number, instance, ini } of placesOf(bench))
    copies.set(`${number} ${dryRunCopy(await readFile(ini, 'utf8'))}`, join(directory, `${number}-${instance}.ini`));
  for (const [copy, file] of copies) await writeFile(file, copy.slice(copy.indexOf(' ') + 1), { mode: 0o444 });
  return [...copies.values()];
};

/** A dry run ends with exit code 1, because its file listens nowhere. */
const prove = async (copies: readonly string[]): Promise<number> => {
  const program = findBinary('pgbouncer', process.env['PATH'] ?? '');
  const startedAt = performance.now();
  await Promise.all(
    copies.map((file) => new Promise<void>((resolve) => void execFile(program, [file], () => resolve()))),
  );
  return performance.now() - startedAt;
};

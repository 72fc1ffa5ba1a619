import type { FleetStatus } from '../../src/actors/model/status.ts';
import { Watch } from '../support/fleet-watch.ts';
import type { BenchFleet } from './fleet.ts';
import { median, type Row, rounded } from './report.ts';

/** Of the units' default settings: ttl 5 s, renewed each 1.5 s. */
const ttlMs = 5_000;
const renewMs = 1_500;

/** The leader's coordinator killed: until the next one's first write is accepted (a change that was asked for meanwhile). */
export const leaderKilled = async (bench: BenchFleet, rounds = 5): Promise<Row> => {
  const values: number[] = [];
  for (let round = 0; round < rounds; round += 1) values.push(await killOnce(bench, 2_000 + round));
  const value = rounded(median(values) / 1_000);
  const budget = (ttlMs - renewMs / 2 + 500) / 1_000;
  const name = `leader killed -9 → next leader's first accepted write, median of ${rounds}`;
  return { name, value, unit: 's', floor: null, ratio: null, budget: `${budget} s`, holds: value <= budget, note: '' };
};

/** The leader's coordinator told to hand over: until a survivor sees the next one hold the lease. */
export const leaderStopped = async (bench: BenchFleet, rounds = 7): Promise<Row> => {
  const values: number[] = [];
  for (let round = 0; round < rounds; round += 1) values.push(await stopOnce(bench));
  const value = rounded(median(values));
  const name = `leader stopped cleanly → next leader holds the lease, median of ${rounds}`;
  return { name, value, unit: 'ms', floor: null, ratio: null, budget: '50 ms', holds: value <= 50, note: '' };
};

const killOnce = async (bench: BenchFleet, seconds: number): Promise<number> => {
  const { watch, survivor, leader } = await settled(bench);
  using _ = watch;
  const before = watch.latest?.generation.published ?? 0;
  process.kill(leader.pid, 'SIGKILL');
  const startedAt = performance.now();
  const { signal } = new AbortController();
  const outcome = await bench
    .api(survivor)
    .change({ type: 'setOptions', options: { query_wait_timeout: seconds } }, signal);
  if (outcome.kind !== 'accepted') throw new Error(`the change was not accepted: ${JSON.stringify(outcome)}`);
  await watch.until(({ generation }) => (generation.published ?? 0) > before);
  return performance.now() - startedAt;
};

const stopOnce = async (bench: BenchFleet): Promise<number> => {
  const { watch, leader } = await settled(bench);
  using _ = watch;
  process.kill(leader.pid, 'SIGHUP');
  const startedAt = performance.now();
  await watch.until(({ leader: now }) => now !== null && now.unit !== leader.unit);
  return performance.now() - startedAt;
};

/** Everybody is back and active, and somebody who does not lead watches. */
const settled = async (bench: BenchFleet) => {
  const everyone = (status: FleetStatus): boolean =>
    status.leader !== null &&
    status.generation.good === status.generation.published &&
    status.units.length === bench.fleet.units.length &&
    status.units.every((unit) => unit.status === 'active');
  using first = new Watch(bench.api(0));
  const status = await first.until(everyone);
  const leader = status.units.find(({ unit }) => unit === status.leader?.unit);
  const survivor = status.units.find(({ unit }) => unit !== status.leader?.unit)?.number;
  if (leader === undefined || leader.pid === null || survivor === undefined) throw new Error('nobody leads');
  const watch = new Watch(bench.api(survivor));
  await watch.until((seen) => everyone(seen) && seen.leader?.unit === leader.unit);
  return { watch, survivor, leader: { unit: leader.unit, pid: leader.pid } };
};

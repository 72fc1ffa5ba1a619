import { describe, expect, it } from 'vitest';
import type { FleetStatus } from '../../src/actors/model/status.ts';
import { ConnectionCount } from '../support/connection-count.ts';
import { startLoad } from '../support/fleet-load.ts';
import { joinFleet } from '../support/fleet-newcomer.ts';
import { signalTo, useFleet } from '../support/fleet-under-test.ts';
import { pgbouncerBinaries } from '../support/servers.ts';

const binaries = await pgbouncerBinaries();
const saturating = ['saturating', 'saturating and reconnecting'] as const;

/** Units of the fleet have a share of it each, none has more open, and nothing moves any more. */
const isShared =
  (units: number, connections: number) =>
  ({ units: seen, generation }: FleetStatus): boolean =>
    seen.length === units &&
    generation.good === generation.published &&
    seen.every(({ status, generation: { applied } }) => status === 'active' && applied === generation.published) &&
    seen.reduce((sum, { budget }) => sum + (budget[0]?.given ?? 0), 0) === connections &&
    seen.every(({ budget }) => (budget[0]?.held ?? Number.POSITIVE_INFINITY) <= (budget[0]?.given ?? 0));

/** The machine's own, and the newest. */
describe.each([...new Set([binaries.at(0), binaries.at(-1)])])('a fleet of PgBouncer $version', (binary) => {
  if (binary?.run == null) {
    it.skip(binary?.reason ?? 'it cannot be had here', () => {});
    return;
  }
  const fleet = useFleet({ againMs: 2_000, pgbouncer: binary.run });

  it('never holds more connections than its budget while units join, leave and are killed, and then uses it', async () => {
    await fleet().cli('config', 'pool_mode=transaction', 'max_db_connections=60');
    const count = await ConnectionCount.open(fleet(), 60);
    await using _count = count;
    const shared = (units: number, connections: number) => fleet().watch(0).until(isShared(units, connections), 15_000);
    const loads = new Map<number, Awaited<ReturnType<typeof startLoad>>>();
    const load = async (unit: number): Promise<void> =>
      void loads.set(unit, await startLoad(fleet(), [unit], saturating));
    const unload = async (unit: number): Promise<void> => loads.get(unit)?.[Symbol.asyncDispose]();
    await using _loads = { [Symbol.asyncDispose]: async () => void (await Promise.all([...loads.keys()].map(unload))) };

    for (const unit of [0, 1, 2]) await load(unit);
    expect(await count.least(54)).toBeGreaterThanOrEqual(54);

    // One joins while the others use everything.
    const newcomer = await joinFleet(fleet(), 3);
    await using _newcomer = newcomer;
    const four = await shared(4, 60);
    expect(four.units.map(({ budget }) => budget[0]?.given)).toEqual([16, 16, 14, 14]);
    await load(3);
    expect(await count.least(54)).toBeGreaterThanOrEqual(54);

    // It leaves.
    await Promise.all([newcomer.leave(), unload(3)]);
    await shared(3, 60);
    expect(await count.least(54)).toBeGreaterThanOrEqual(54);

    // One is killed with its PgBouncers, keeps its share, and comes back.
    const before = fleet().watch(0).latest?.units[1];
    for (const pid of [before?.pid, ...(before?.instances ?? []).map((instance) => instance.pid)])
      signalTo(pid, 'SIGKILL');
    await unload(1);
    await fleet()
      .watch(0)
      .until((status) => isShared(3, 60)(status) && status.units[1]?.pid !== before?.pid, 20_000);
    await load(1);
    expect(await count.least(54)).toBeGreaterThanOrEqual(54);

    // A lower one is in force when no unit has more open: busy connections end with their transactions.
    await fleet().cli('config', 'max_db_connections=30');
    await shared(3, 30);
    await count.limitOnceWithin(30);
    expect(await count.least(27)).toBeGreaterThanOrEqual(27);
    count.limit(60);
    await fleet().cli('config', 'max_db_connections=60');
    await shared(3, 60);
    expect(await count.least(54)).toBeGreaterThanOrEqual(54);

    expect(count.above).toEqual([]);
    expect(count.strangers).toEqual([]);
    const rate = (count.samples.length / ((count.samples.at(-1)?.at ?? 0) - (count.samples[0]?.at ?? 0))) * 1_000;
    expect(rate).toBeGreaterThan(8);
  }, 150_000);
});

import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { FleetStatus } from '../../src/actors/model/status.ts';
import { startLoad, unharmed } from '../support/fleet-load.ts';
import { queryThrough } from '../support/fleet-query.ts';
import { useFleet } from '../support/fleet-under-test.ts';

const frozenMs = process.env['TROUPE_TEST_LONG'] === '1' ? 60_000 : 20_000;

const fleet = useFleet({ againMs: 3_000 });

it('serves without its store, mends itself meanwhile, and is together again when the store is back', async () => {
  const before = await fleet().everyoneActive();
  const { redis } = fleet().local;

  // Frozen: nobody notices, everybody says so.
  const everywhere = await startLoad(fleet(), [0, 1, 2]);
  await using _everywhere = everywhere;
  redis.process.signal('SIGSTOP');
  const frozenAt = performance.now();
  for (const unit of [0, 1, 2]) await fleet().watch(unit).until(isAway);
  await delay(frozenMs - (performance.now() - frozenAt)); // The fault takes as long as it takes.
  for (const unit of [0, 1, 2]) expect(isAway(await fleet().api(unit).status(AbortSignal.timeout(5_000)))).toBe(true);
  const first = await everywhere.end();
  expect(first).toEqual(unharmed(first));
  expect(first).toHaveLength(6);

  // Unit 0 loses a PgBouncer; then everything.
  const elsewhere = await startLoad(fleet(), [1, 2]);
  await using _elsewhere = elsewhere;
  const [victim = 0, other = 0] = fleet().instancePids(before)[0] ?? [];
  process.kill(victim, 'SIGKILL');
  const killedAt = performance.now();
  await fleet()
    .watch(0)
    .until((status) => !pidsOf(status).includes(victim) && isServing(status));
  expect(performance.now() - killedAt).toBeLessThan(2_000);
  expect(pidsOf(await fleet().api(0).status(AbortSignal.timeout(5_000)))).toContain(other);

  const coordinator = before.units[0]?.pid ?? 0;
  for (const pid of [coordinator, ...pidsOf(fleet().watch(0).latest)]) process.kill(pid, 'SIGKILL');
  const alone = await fleet()
    .watch(0)
    .until((status) => status.units[0]?.pid !== coordinator && isServing(status));
  expect(alone).toMatchObject({ answeredBy: 'pgbouncer/0', backplane: { state: 'unreachable' } });
  expect(alone.units[0]?.generation.applied).toBe(before.generation.published);
  expect(await queryThrough(fleet(), 0, fleet().first, 'select current_database() as d')).toEqual([
    { d: fleet().first.database },
  ]);

  // Killed and started again: all connected again, by themselves.
  const others = fleet().statuses.length;
  redis.process.signal('SIGKILL');
  const after = await fleet().everyoneActive();
  expect(fleet().local.redis.process.pid).not.toBe(redis.process.pid);
  const second = await elsewhere.end();
  expect(second).toEqual(unharmed(second));
  expect(second).toHaveLength(4);
  expect(after.units.map(({ unit }) => unit)).toEqual(before.units.map(({ unit }) => unit));
  expect(after.units.slice(1).map(({ pid }) => pid)).toEqual(before.units.slice(1).map(({ pid }) => pid));
  expect(after.units[0]?.pid).toBe(alone.units[0]?.pid);
  expect(fleet().instancePids(after)).toEqual([pidsOf(alone), ...fleet().instancePids(before).slice(1)]);
  const published = fleet()
    .statuses.slice(others)
    .map(({ generation }) => generation.published ?? 'unknown');
  expect(new Set(published.filter((generation) => generation !== 'unknown'))).toEqual(
    new Set([before.generation.published]),
  );
}, 240_000);

const isAway = ({ backplane }: FleetStatus): boolean => backplane.state === 'unreachable';

/** Unit 0, in its own words. */
const isServing = ({ units }: FleetStatus): boolean =>
  units[0]?.instances.length === 2 && units[0].instances.every(({ state, pid }) => state === 'serving' && pid !== null);

const pidsOf = (status: FleetStatus | null): readonly number[] =>
  status?.units[0]?.instances.flatMap(({ pid }) => (pid === null ? [] : [pid])) ?? [];

import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { FleetStatus } from '../../src/actors/model/status.ts';
import { startLoad, unharmed } from '../support/fleet-load.ts';
import { queryThrough } from '../support/fleet-query.ts';
import { signalTo, useFleet } from '../support/fleet-under-test.ts';

const frozenMs = process.env['TROUPE_TEST_LONG'] === '1' ? 60_000 : 20_000;

const fleet = useFleet({ againMs: 3_000 });

it('serves without its store, mends itself meanwhile, and is together again when the store is back', async () => {
  const before = await fleet().everyoneActive();
  const { redis } = fleet();

  // Frozen: nobody notices, everybody says so.
  const everywhere = await startLoad(fleet(), [0, 1, 2]);
  await using _everywhere = everywhere;
  await redis.freeze();
  const frozenAt = performance.now();
  for (const unit of [0, 1, 2]) await fleet().watch(unit).until(isAway);
  await delay(frozenMs - (performance.now() - frozenAt)); // The fault takes as long as it takes.
  for (const unit of [0, 1, 2]) expect(isAway(await fleet().api(unit).status(AbortSignal.timeout(5_000)))).toBe(true);
  const first = await everywhere.end();
  expect(first).toEqual(unharmed(first));
  expect(first).toHaveLength(6);

  // Unit 0 loses a PgBouncer.
  const elsewhere = await startLoad(fleet(), [1, 2]);
  await using _elsewhere = elsewhere;
  const [victim, other] = fleet().instancePids(before)[0] ?? [];
  signalTo(victim, 'SIGKILL');
  const killedAt = performance.now();
  await fleet()
    .watch(0)
    .until((status) => isServing(status) && pidsOf(status).every((pid) => pid !== victim));
  expect(performance.now() - killedAt).toBeLessThan(2_000);
  expect(pidsOf(await fleet().api(0).status(AbortSignal.timeout(5_000)))).toContain(other);

  // Then everything, twice: a store that takes connections and answers nothing, and one that is not there.
  await unitLost(before);
  await redis.kill();
  const alone = await unitLost(before);
  expect(await queryThrough(fleet(), 0, fleet().first, 'select current_database() as d')).toEqual([
    { d: fleet().first.database },
  ]);

  // Back: all connected again, by themselves.
  const said = fleet().statuses.length;
  await redis.startAgain();
  const after = await fleet().everyoneActive();
  const second = await elsewhere.end();
  expect(second).toEqual(unharmed(second));
  expect(second).toHaveLength(4);
  expect(after.units.map(({ unit }) => unit)).toEqual(before.units.map(({ unit }) => unit));
  expect(after.units.map(({ pid }) => pid)).toEqual([
    alone.units[0]?.pid,
    ...before.units.slice(1).map(({ pid }) => pid),
  ]);
  expect(fleet().instancePids(after)).toEqual([pidsOf(alone), ...fleet().instancePids(before).slice(1)]);
  const published = fleet()
    .statuses.slice(said)
    .map(({ generation }) => generation.published);
  expect(new Set(published.filter((generation) => generation !== null))).toEqual(
    new Set([before.generation.published]),
  );
}, 240_000);

/** The coordinator of unit 0 killed together with its PgBouncers, and back while the store is away. */
const unitLost = async (before: FleetStatus): Promise<FleetStatus> => {
  const { latest } = fleet().watch(0);
  const coordinator = latest?.units[0]?.pid;
  for (const pid of [coordinator, ...pidsOf(latest)]) signalTo(pid, 'SIGKILL');
  const alone = await fleet()
    .watch(0)
    .until(
      (status) =>
        isServing(status) &&
        status.units[0]?.pid !== coordinator &&
        !pidsOf(latest).some((pid) => pidsOf(status).includes(pid)),
    );
  expect(alone).toMatchObject({ answeredBy: 'pgbouncer/0', backplane: { state: 'unreachable' } });
  expect(alone.units[0]?.generation.applied).toBe(before.generation.published);
  return alone;
};

const isAway = ({ backplane }: FleetStatus): boolean => backplane.state === 'unreachable';

/** Unit 0, in its own words. */
const isServing = ({ units }: FleetStatus): boolean =>
  units[0]?.instances.length === 2 && units[0].instances.every(({ state, pid }) => state === 'serving' && pid !== null);

const pidsOf = (status: FleetStatus | null): readonly number[] =>
  status?.units[0]?.instances.flatMap(({ pid }) => (pid === null ? [] : [pid])) ?? [];

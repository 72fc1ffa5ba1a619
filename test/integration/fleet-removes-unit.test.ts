import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { unitViewSchema } from '../../src/api/status.ts';
import { startLoad, unharmed } from '../support/fleet-load.ts';
import { signalTo, useFleet } from '../support/fleet-under-test.ts';

/** Long enough to look at the fleet without the unit that was removed, before whoever supervises it starts it again. */
const fleet = useFleet({ againMs: 8_000 });

const shareOf = async (unit: number): Promise<number> =>
  Number(/max_db_connections ?= ?'?(\d+)/.exec(await fleet().instanceFile(unit, 1, 'pgbouncer.ini'))?.[1]);

it('a unit that is removed drains, leaves and ends well, the others take its share, and started again it is a new one', async () => {
  const before = await fleet().everyoneActive();
  expect(await shareOf(0)).toBe(17);
  await using load = await startLoad(fleet(), [0, 1]);
  const { pools } = unitViewSchema.parse(JSON.parse(await fleet().cli('show-unit', '1', '--json')));
  const busy = (pools ?? []).filter(({ database }) => database === fleet().first.database);
  expect(busy.reduce((sum, { clients }) => sum + clients.active + clients.waiting, 0)).toBeGreaterThan(0);
  expect(busy.reduce((sum, { servers }) => sum + servers.active + servers.idle + servers.other, 0)).toBeGreaterThan(0);
  expect(await fleet().cli('remove-unit', 'pgbouncer/2')).toBe(
    'pgbouncer/2 is gone from the roster: its number and its share of the connections are free',
  );
  const without = await fleet()
    .watch(0)
    .until(
      ({ units, generation }) =>
        units.length === 2 &&
        generation.good === generation.published &&
        (generation.published ?? 0) > (before.generation.published ?? 0),
    );
  expect(without.units.map(({ unit }) => unit)).toEqual(['pgbouncer/0', 'pgbouncer/1']);
  expect([await shareOf(0), await shareOf(1)]).toEqual([25, 25]);
  const reports = await load.end();
  expect(reports).toEqual(unharmed(reports));
  await expect
    .poll(() => readFile(fleet().unit(2).log, 'utf8'), { timeout: 10_000 })
    .toMatch(/"code":0,"msg":"ending"/);

  const again = await fleet().everyoneActive(({ units }) => units.length === 3);
  expect(again.units[2]).toMatchObject({ unit: 'pgbouncer/2', leaving: false });
  expect(again.units[2]?.pid).not.toBe(before.units[2]?.pid);
  expect(await shareOf(0)).toBe(17);
}, 120_000);

it('a client with the name of something that every object of JavaScript has is not there', async () => {
  await expect(fleet().cli('dsn', 'constructor')).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('there is no client "constructor" (there are: '),
  });
});

it('a silent unit is removed by force only, its PgBouncers serve on, and when it wakes it leaves', async () => {
  const before = await fleet().everyoneActive();
  const { pid } = before.units[1] ?? {};
  const pids = fleet().instancePids(before)[1];
  signalTo(pid ?? 0, 'SIGSTOP');
  try {
    await fleet()
      .watch(0)
      .until(({ units }) => units[1]?.status === 'unknown');
    await expect(fleet().cli('remove-unit', '1')).rejects.toMatchObject({
      code: 4,
      stderr: expect.stringContaining('its PgBouncers may well serve'),
    });
    expect(await fleet().cli('remove-unit', '1', '--force')).toContain('pgbouncer/1 is gone');
    for (const instance of pids ?? []) expect(() => process.kill(instance, 0)).not.toThrow();
  } finally {
    signalTo(pid ?? 0, 'SIGCONT');
  }
  const again = await fleet().everyoneActive(({ units }) => units.length === 3 && units[1]?.pid !== pid);
  expect(again.units[1]).toMatchObject({ unit: 'pgbouncer/1', leaving: false });
}, 120_000);

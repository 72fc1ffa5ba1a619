import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { startLoad, unharmed } from '../support/fleet-load.ts';
import { signalTo, useFleet } from '../support/fleet-under-test.ts';

const frozenMs = process.env['TROUPE_TEST_LONG'] === '1' ? 60_000 : 15_000;

const fleet = useFleet({ againMs: 6_000 });

it("no client notices that the leader's coordinator is killed, and it comes back as who it was", async () => {
  const leader = await fleet().leader();
  const before = await fleet().everyoneActive();
  await using load = await startLoad(fleet(), [0, 1, 2]);
  signalTo(leader.pid, 'SIGKILL');

  const survivor = before.units.find(({ unit }) => unit !== leader.unit)?.number ?? 0;
  const next = await fleet()
    .watch(survivor)
    .until(({ leader: now }) => now !== null && now.epoch > leader.epoch);
  expect(next.leader?.unit).not.toBe(leader.unit);

  const after = await fleet().everyoneActive(({ units }) => units[leader.number]?.pid !== leader.pid);
  const reports = await load.end();
  expect(reports).toEqual(unharmed(reports));
  expect(reports).toHaveLength(6);
  expect(after.units.map(({ unit }) => unit)).toEqual(before.units.map(({ unit }) => unit));
  expect(fleet().instancePids(after)).toEqual(fleet().instancePids(before));
  expect(after.generation.published).toBe(before.generation.published);
}, 120_000);

it(`no client that connects anew notices a coordinator frozen for ${frozenMs / 1_000} s, though it led`, async () => {
  const leader = await fleet().leader();
  const before = await fleet().everyoneActive();
  await using load = await startLoad(fleet(), [0, 1, 2], ['reconnecting']);
  signalTo(leader.pid, 'SIGSTOP');
  try {
    await delay(frozenMs); // The fault takes as long as it takes.
    const survivor = before.units.find(({ unit }) => unit !== leader.unit)?.number ?? 0;
    const next = await fleet()
      .watch(survivor)
      .until(({ leader: now }) => now !== null && now.epoch > leader.epoch);
    expect(next.leader?.unit).not.toBe(leader.unit);
  } finally {
    signalTo(leader.pid, 'SIGCONT');
  }
  const after = await fleet().everyoneActive(
    ({ leader: now, units }) => (now?.epoch ?? 0) > leader.epoch && units[leader.number]?.leader === false,
  );
  const reports = await load.end();
  expect(reports).toEqual(unharmed(reports));
  expect(after.units.map(({ pid }) => pid)).toEqual(before.units.map(({ pid }) => pid));
  expect(fleet().instancePids(after)).toEqual(fleet().instancePids(before));
  expect(after.generation.published).toBe(before.generation.published);
}, 180_000);

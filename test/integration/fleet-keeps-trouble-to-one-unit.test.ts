import { chmod, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { UnitStatus } from '../../src/actors/model/status.ts';
import { startLoad, unharmed } from '../support/fleet-load.ts';
import { signalTo, useFleet } from '../support/fleet-under-test.ts';
import { isServing, lacks, remarks } from '../support/lone-unit.ts';
import { strangerAt } from '../support/stranger.ts';

const fleet = useFleet({ againMs: 3_000 });
const soonMs = 5_000;

it('tells on every unit what one unit suffers from, and no client of another unit notices', async () => {
  await fleet().everyoneActive();
  await using load = await startLoad(fleet(), [1, 2]);
  const took: string[] = [];
  /** In the view of another unit: what the operator sees who asks anywhere. */
  const seen = async (what: string, holds: (unit: UnitStatus) => boolean): Promise<void> => {
    const began = performance.now();
    await fleet()
      .watch(1)
      .until(({ units }) => units.some((unit) => unit.unit === 'pgbouncer/0' && holds(unit)), soonMs);
    took.push(`${what}: ${Math.round(performance.now() - began)} ms`);
  };
  const pids = (): readonly number[] =>
    fleet()
      .watch(0)
      .latest?.units[0]?.instances.flatMap(({ pid }) => pid ?? []) ?? [];
  const ini = join(fleet().stateDir(0), 'instances', '1', 'pgbouncer.ini');

  signalTo(pids()[0], 'SIGSTOP');
  await seen('an instance hangs', remarks('replaced', /did not answer/));
  await seen('it is replaced', isServing);

  let over = false;
  const killing = (async () => {
    for (; !over; await delay(300)) {
      const [first] = pids();
      if (first !== undefined && isAlive(first)) signalTo(first, 'SIGKILL');
    }
  })();
  await seen('an instance is killed every 300 ms', lacks('crashes', /instance 1 ended \d+ times/));
  await delay(8_000); // The fault takes as long as it takes.
  over = true;
  await killing;
  await seen('nobody kills it any more', isServing);

  await using stranger = await strangerAt(fleet().unit(0).address, fleet().listenPort);
  await seen('a stranger shares its address', lacks('address', /part of the clients/));
  await stranger.end();
  await seen('the stranger is gone', isServing);

  await chmod(ini, 0o600);
  await truncate(ini, 100);
  await seen('a file is cut off', remarks('repaired', /ini of instance 1 was changed/));
  await seen('it is written again', isServing);

  await chmod(fleet().stateDir(0), 0o500);
  await seen('its directory may not be written', lacks('files'));
  await chmod(fleet().stateDir(0), 0o700);
  await seen('it may again', isServing);

  await rm(join(fleet().runDir, 'pgbouncer-0'), { recursive: true });
  await seen('its sockets are removed', remarks('repaired', /socket of instance [12] was removed/));
  await seen('they are there again', isServing);

  const reports = await load.end();
  expect(reports).toEqual(unharmed(reports));
  expect(reports).toHaveLength(4);
  await fleet().everyoneActive();
  console.log(took.join('\n'));
}, 120_000);

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

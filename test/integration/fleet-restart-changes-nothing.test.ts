import { expect, it } from 'vitest';
import type { FleetStatus } from '../../src/actors/model/status.ts';
import { allInstances, signalTo, useFleet } from '../support/fleet-under-test.ts';

const clients = 20;
const rounds = 20;

const fleet = useFleet({ againMs: 100, environment: { TROUPE_LEASE_TTL: '2s' } });

it(`the leader of a fleet with ${clients} clients restarted ${rounds} times changes no generation and no PgBouncer`, async () => {
  const names = Array.from({ length: clients - 1 }, (_, index) => `client-${index + 2}`);
  for (const name of names)
    await fleet().change({ type: 'addClient', name, database: name, backend: 'main', extraUserRoles: [] });
  for (const name of names) await fleet().credentials(name);
  const hasAll = ({ relations }: FleetStatus): boolean =>
    relations.filter(({ endpoint, state }) => endpoint === 'database' && state === 'active').length === clients;
  const before = await fleet().everyoneActive(hasAll);
  const served = await traces();
  expect(served.every(({ reloads }) => reloads > 0)).toBe(true);

  const said = fleet().statuses.length;
  for (let round = 0; round < rounds; round += 1) {
    const leader = await fleet().leader();
    signalTo(leader.pid, round % 2 === 0 ? 'SIGKILL' : 'SIGHUP');
    await fleet().everyoneActive(
      (status) =>
        hasAll(status) && (status.leader?.epoch ?? 0) > leader.epoch && status.units[leader.number]?.pid !== leader.pid,
    );
  }

  const published = fleet()
    .statuses.slice(said)
    .flatMap(({ generation }) => (generation.published === null ? [] : [generation.published]));
  expect(new Set(published)).toEqual(new Set([before.generation.published]));
  expect(fleet().instancePids(await fleet().everyoneActive())).toEqual(fleet().instancePids(before));
  expect(await traces()).toEqual(served);
}, 240_000);

/** What a reload, or a file written anew, would change. */
const traces = () =>
  Promise.all(
    allInstances.map(async ([unit, instance]) => {
      const [ini, log, config] = await Promise.all([
        fleet().instanceFile(unit, instance, 'pgbouncer.ini'),
        fleet().instanceFile(unit, instance, 'pgbouncer.log'),
        fleet().show(unit, instance, 'CONFIG'),
      ]);
      const reloads = log.match(/RELOAD|SIGHUP/g)?.length ?? 0;
      return { unit, instance, ini, reloads, config };
    }),
  );

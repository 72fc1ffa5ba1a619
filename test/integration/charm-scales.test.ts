/** The packed charm in pods, to more units and down to one, while clients write and others log in. */
import { describe, expect, it } from 'vitest';
import { Accountant } from '../support/accountant.ts';
import { CharmGround, groundParts } from '../support/charm-ground/charm-ground.ts';
import { postgresServers, useServer } from '../support/servers.ts';

const parts = await groundParts();
const [postgres] = postgresServers();
const application = 'pgbouncer-k8s';
/** Each hook of each unit takes its time. */
const [sizes, writing] = process.env['TROUPE_TEST_LONG'] === '1' ? [[3, 5, 1, 3], 6] : [[1, 3, 1], 3];

if (parts.kind === 'missing' || postgres === undefined) {
  const why = parts.kind === 'missing' ? parts.reason : 'there is no PostgreSQL here';
  it.skip(`the packed charm is not scaled in pods: ${why}`, () => {});
} else {
  describe(`the packed charm with PgBouncer ${parts.version}`, { timeout: 600_000 }, () => {
    const server = useServer(() => postgres[1]('own'));

    const [first = 1, ...next] = sizes;
    it(`goes from ${first} units to ${next.join(', ')}, and loses no row`, async () => {
      await using ground = await CharmGround.open({ seed: 5, units: first, server: server(), parts });
      ground.relateBackend();
      ground.relateClient('one', 'client-v0', [{ database_name: 'orders' }]);
      await ground.settle();
      const [login] = await ground.logins('one');
      if (login === undefined) throw new Error('one was not told how to log in');
      await using writers = await Accountant.start(await ground.written('one'), writing);
      for (const units of next) {
        ground.juju.scale(application, units);
        await ground.settle();
        expect(ground.statuses).toEqual(Array.from({ length: units }, () => 'active'));
        expect(ground.pods.size).toBe(units);
        // Often enough to come to every unit.
        for (let time = 0; time < 2 * units; time += 1)
          expect(await ground.query(login, 'select current_database()')).toBe('orders');
      }
      const { acknowledged, missing, doubled, refused } = await writers.close();
      expect({ missing, doubled, refused }).toEqual({ missing: [], doubled: [], refused: [] });
      expect(acknowledged).toBeGreaterThan(100);
    });
  });
}

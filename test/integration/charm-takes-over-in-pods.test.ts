/** The packed charm comes in the place of the charm before, as processes in pods of its own: clients log in with what they had. */
import { describe, expect, it } from 'vitest';
import { servedByAncestor } from '../support/ancestors-postgres.ts';
import { CharmGround, groundParts } from '../support/charm-ground/charm-ground.ts';
import { ancestorCharm } from '../support/juju/ancestor.ts';
import { postgresServers, useServer } from '../support/servers.ts';

const parts = await groundParts();
const [postgres] = postgresServers();
if (parts.kind === 'missing' || postgres === undefined) {
  it.skip(`the packed charm is not deployed: ${parts.kind === 'missing' ? parts.reason : 'there is no PostgreSQL here'}`, () => {});
} else {
  describe(`the packed charm with PgBouncer ${parts.version}`, () => {
    const server = useServer(() => postgres[1]('own'));

    it('takes the place of the charm before: each client comes in through the Service with what it was told then', async () => {
      const before = ancestorCharm({ serve: (client) => servedByAncestor(server(), client) });
      await using ground = await CharmGround.open({ seed: 6, units: 2, server: server(), parts, before });
      const { juju } = ground;
      ground.relateBackend();
      ground.relateClient('one', 'client-v0', [{ database_name: 'orders' }]);
      ground.relateClient('old', 'client-legacy', [{ database: 'older' }]);
      await ground.settle();
      const [one, old] = [await ground.logins('one'), await ground.logins('old')];
      expect([one.length, old.length]).toEqual([1, 1]);
      expect(ground.pods.size).toBe(0);

      await ground.refresh();
      await ground.settle();
      expect(ground.statuses).toEqual(['active', 'active']);
      expect(ground.pods.size).toBe(2);
      expect(juju.history.filter(({ succeeded }) => !succeeded)).toEqual([]);
      for (const [login] of [one, old])
        if (login !== undefined)
          expect(await ground.query(login, 'SELECT session_user, current_database()')).toBe(
            `${login.username}|${login.database}`,
          );
      expect([await ground.logins('one'), await ground.logins('old')]).toEqual([one, old]);
    }, 300_000);
  });
}

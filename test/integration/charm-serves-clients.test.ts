/** The packed charm in pods, with a real PostgreSQL: clients log in through the published endpoint with what they were given. */
import { describe, expect, it } from 'vitest';
import { CharmGround, groundParts } from '../support/charm-ground/charm-ground.ts';
import { postgresServers, useServer } from '../support/servers.ts';

const parts = await groundParts();
const [postgres] = postgresServers();
if (parts.kind === 'missing' || postgres === undefined) {
  it.skip(`the packed charm is not deployed: ${parts.kind === 'missing' ? parts.reason : 'there is no PostgreSQL here'}`, () => {});
} else {
  describe(`the packed charm with PgBouncer ${parts.version}`, () => {
    const server = useServer(() => postgres[1]('own'));

    it('serves a client', async () => {
      await using ground = await CharmGround.open({ seed: 1, units: 1, server: server(), parts });
      ground.relateBackend();
      ground.relateClient('app', 'client-v0', [{ database_name: 'orders' }]);
      await ground.settle();
      expect(ground.statuses).toEqual(['active']);
      const told = (await ground.told('app')).at(-1);
      const [host = '', port = ''] = String(told?.['endpoints']).split(':');
      const login = {
        host,
        port,
        username: String(told?.['username']),
        password: String(told?.['password']),
        database: String(told?.['database']),
      };
      expect(await ground.query(login, 'select current_database()')).toBe('orders');
    }, 120_000);
  });
}

/** The packed charm in pods, with a real PostgreSQL: clients log in through the published endpoint with what they were given. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { CharmGround, groundParts } from '../support/charm-ground/charm-ground.ts';
import { postgresServers, testAccount, useServer } from '../support/servers.ts';

const parts = await groundParts();
const [postgres] = postgresServers();
const isLong = process.env['TROUPE_TEST_LONG'] === '1';
if (parts.kind === 'missing' || postgres === undefined) {
  const why = parts.kind === 'missing' ? parts.reason : 'there is no PostgreSQL here';
  it.skip(`the packed charm is not deployed: ${why}`, () => {});
} else {
  describe(`the packed charm with PgBouncer ${parts.version}`, { timeout: 480_000 }, () => {
    const server = useServer(() => postgres[1]('own'));

    it.each([
      { seed: 1, units: 3, backend: 'backend-v0', as: 'root' },
      { seed: 2, units: isLong ? 3 : 1, backend: 'backend-v1', as: 'an ordinary user' },
    ] as const)('serves clients of all kinds from $units units: $backend, hooks as $as, order $seed', async (given) => {
      const account = given.as === 'root' ? null : testAccount();
      await using ground = await CharmGround.open({ ...given, server: server(), parts, account });
      const { juju } = ground;
      ground.relateBackend(given.backend);
      ground.relateClient('one', 'client-v0', [{ database_name: 'orders' }]);
      ground.relateClient('two', 'client-v1', [{ resource: 'stock' }, { resource: 'bills' }]);
      ground.relateClient('old', 'client-legacy', [{ database: 'ledger' }]);
      await ground.settle();
      expect(ground.statuses).toEqual(Array.from({ length: given.units }, () => 'active'));
      expect(juju.history.filter(({ succeeded }) => !succeeded)).toEqual([]);
      const own = juju.history.filter(({ unit }) => ground.units.includes(unit));
      expect(own.filter(({ stdout, stderr }) => stdout + stderr !== '')).toEqual([]);

      const logins = (await Promise.all(['one', 'two', 'old'].map((name) => ground.logins(name)))).flat();
      expect(logins.map(({ database }) => database)).toEqual(['orders', 'stock', 'bills', 'ledger']);
      expect(new Set(logins.map(({ host, port }) => `${host}:${port}`))).toEqual(
        new Set([`pgbouncer-k8s-service.${juju.name}.svc.cluster.local:6432`]),
      );
      for (const login of logins) {
        const { username, database } = login;
        // Often enough to come to every unit.
        for (let time = 0; time < 3; time += 1)
          expect(await ground.query(login, 'select session_user, current_database()')).toBe(`${username}|${database}`);
        await ground.query(
          login,
          `create table made_${given.seed} (id int); insert into made_${given.seed} values (1)`,
        );
      }
      expect(await ground.secretsSeen()).toEqual([]);
      expect(ground.secrets.join()).toMatch(/seal-key.*password in revision|password in revision.*seal-key/);

      // It would have been seen.
      const [unit = ''] = ground.units;
      const planted = spawn('nsenter', [`--target=${ground.pod(unit).pid}`, '--net', 'cat'], {
        env: { ...process.env, PLANTED: logins[0]?.password },
        stdio: ['pipe', 'ignore', 'ignore'],
      });
      const ended = once(planted, 'close');
      const where = `^the password of .* was seen in the environment of process \\d+ of ${unit}: `;
      await expect.poll(() => ground.secretsSeen(), { timeout: 30_000 }).toContainEqual(expect.stringMatching(where));
      planted.stdin.end();
      await ended;
    });
  });
}

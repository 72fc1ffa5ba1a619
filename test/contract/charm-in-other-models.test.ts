/** The charm in Jujus of other versions, and with clients in other models. */
import { describe, expect, it } from 'vitest';
import { application, CharmFleet } from '../support/charm-fleet.ts';
import { createHurriedClock } from '../support/hurried-clock.ts';
import { charmIn } from '../support/juju/charm.ts';
import { JujuModel } from '../support/juju/juju-model.ts';

const open = (version = '3.6.12', isForced = false): Promise<CharmFleet> =>
  CharmFleet.open(3, 2, { clock: createHurriedClock(5_000), version, isForced });

describe('the charm', () => {
  it.each(['3.1.5', '3.1.7', '3.3.0', '3.5.4', '3.6.1', '3.6.12', '4.0.0'])(
    'lives its life in Juju %s',
    async (version) => {
      await using fleet = await open(version);
      const { juju } = fleet;
      fleet.relateBackend();
      const orders = fleet.relateClient('orders');
      await fleet.settle();
      expect(fleet.statuses).toEqual(['active', 'active']);
      const { username = '', password } = fleet.answerTo(orders);
      expect(password).toBeDefined();
      juju.moveLeadership(application, fleet.unitName(1 - fleet.leader()));
      juju.configure(application, { pool_mode: 'transaction', listen_port: 6433 });
      await fleet.settle();
      expect(fleet.statuses).toEqual(['active', 'active']);
      expect(fleet.answerTo(orders)).toMatchObject({ username, password, endpoints: expect.stringMatching(/:6433$/) });
      juju.removeRelation(orders);
      await fleet.settle();
      expect([...fleet.postgres.logins.keys()]).toEqual([]);
      expect(fleet.ownSecrets()).toEqual(['troupe']);
      expect(fleet.statuses).toEqual(['active', 'active']);
      expect(juju.history.filter(({ succeeded }) => !succeeded)).toEqual([]);
    },
  );

  it('is not deployed by a Juju that is too old for it, and blocked where it is all the same', async () => {
    for (const [version, says] of [
      ['2.9.50', /^blocked: .*secrets/],
      ['3.0.2', /^blocked: .*secrets/],
    ] as const) {
      await using juju = await JujuModel.open({ version });
      expect(() => juju.deploy('pgbouncer', charmIn('deploy/charm'))).toThrow(/assumes Juju 3\.1/);
      await using fleet = await open(version, true);
      await fleet.settle();
      expect(fleet.status(0)).toMatch(says);
      expect(fleet.juju.history.filter(({ succeeded }) => !succeeded)).toEqual([]);
    }
  });

  it('serves a client of another model, of which it knows no name, and takes back what it gave', async () => {
    await using fleet = await open();
    fleet.relateBackend();
    const remote = fleet.relateClient('orders', { database: 'orders' }, { acrossModels: true });
    await fleet.settle();
    expect(fleet.statuses).toEqual(['active', 'active']);
    const { username = '', database, endpoints } = fleet.answerTo(remote);
    expect([database, endpoints]).toEqual(['orders', `${application}-service.prod.svc.cluster.local:6432`]);
    expect(username.length).toBeLessThanOrEqual(63);
    expect(fleet.loginsOn(0)).toContain(username);
    expect(username).toMatch(/remote_[0-9a-f]+_\d+$/);
    fleet.juju.removeRelation(remote);
    await fleet.settle();
    expect([...fleet.postgres.logins.keys()]).toEqual([]);
  });
});

/** `juju refresh` from the charm that ours takes the place of: whoever was served goes on with what it has. */
import { describe, expect, it } from 'vitest';
import { Secret } from '../../src/actors/model/secret.ts';
import { authority, first } from '../support/certificates.ts';
import { application, CharmFleet } from '../support/charm-fleet.ts';
import { ancestorCharm, signingRequestOf } from '../support/juju/ancestor.ts';

const endpoint = `${application}-service.prod.svc.cluster.local:6432`;
const requested = JSON.stringify(['username', 'password', 'tls', 'tls-ca', 'uris', 'read-only-uris']);

/** Three units of it with clients of every kind, all of them served. */
const served = async (seed: number, units = 3) => {
  const fleet = await CharmFleet.open(seed, units, { before: ancestorCharm() });
  fleet.relateBackend();
  const relations = {
    orders: fleet.relateClient('orders', { database: 'orders', 'requested-secrets': requested }),
    plain: fleet.relateClient('plain', { database: 'plain', 'requested-secrets': '' }),
    root: fleet.relateClient('root', { database: 'orders', 'extra-user-roles': 'SUPERUSER,CREATEDB' }),
    legacy: fleet.relateLegacy('legacy', 'db', 'older'),
    admin: fleet.relateLegacy('admin', 'db-admin', 'older'),
  };
  await fleet.settle();
  return { fleet, relations };
};

type Relations = Awaited<ReturnType<typeof served>>['relations'];
const credentialsOf = (fleet: CharmFleet, relations: Relations) =>
  Object.fromEntries(
    Object.entries(relations).map(([name, id]) => {
      const { username, user, password, database } = fleet.answerTo(id);
      return [name, { username: username ?? user, password, database }];
    }),
  );

describe('a fleet of the charm that was here before', () => {
  it.each([1, 2, 3])(
    'is refreshed, and every client keeps its database and its credentials (seed %i)',
    async (seed) => {
      const { fleet: made, relations } = await served(seed);
      await using fleet = made;
      const before = credentialsOf(fleet, relations);
      expect(before['orders']).toEqual({
        username: `relation_id_${relations.orders}`,
        password: `kept-of-${relations.orders}`,
        database: 'orders',
      });
      const [peers = -1] = fleet.juju.relationsOf(application, 'pgb-peers');
      const kept = { ...fleet.juju.bag(peers, application) };
      const uris = fleet.juju.bag(relations.orders, application)['secret-user'];
      fleet.refresh();
      await fleet.settle();
      expect(fleet.statuses).toEqual(['active', 'active', 'active']);
      expect(credentialsOf(fleet, relations)).toEqual(before);
      expect(fleet.answerTo(relations.orders)).toMatchObject({ endpoints: endpoint, version: '17.0' });
      expect(fleet.juju.bag(relations.orders, application)['secret-user']).toBe(uris);
      for (const { username } of Object.values(before)) {
        for (const number of [0, 1, 2]) expect(fleet.loginsOn(number)).toContain(username);
        expect(fleet.postgres.logins.has(username ?? '')).toBe(true);
      }
      const said = fleet.juju.logs.map(({ message }) => message).filter((text) => text.includes('takes the place'));
      expect(said).toEqual([expect.stringMatching(/pgbouncer_auth_relation_id_/)]);
      // What it would need to come back is all there.
      expect(fleet.juju.bag(peers, application)).toMatchObject(kept);
      expect(fleet.ownSecrets()).toContain(`pgb-peers.${application}.app`);
      for (const number of [0, 1, 2])
        expect(fleet.juju.bag(relations.legacy, fleet.unitName(number))).toMatchObject({
          user: before['legacy']?.username,
        });
    },
  );

  it('serves clients by the units that are refreshed before the one that leads', async () => {
    const { fleet: made, relations } = await served(6);
    await using fleet = made;
    const before = credentialsOf(fleet, relations);
    const login = before['orders']?.username ?? '';
    const leader = fleet.juju.leaderOf(application) ?? '';
    const followers = [0, 1, 2].filter((number) => fleet.unitName(number) !== leader);
    fleet.juju.cutOff.add(leader);
    fleet.refresh();
    await fleet.settle();
    for (const number of followers) {
      // There is nobody yet that it could tell its state to.
      expect(fleet.waits(number)).toEqual(['leader']);
      expect(fleet.loginsOn(number)).toContain(login);
      for (const instance of [1, 2]) expect(fleet.machine.processOf(fleet.unitName(number), instance)).not.toBeNull();
      const { results } = await fleet.juju.runAction(fleet.unitName(number), 'status');
      expect(results['status']).toContain('the unit that leads has not been refreshed yet');
      expect(fleet.machine.diskOf(fleet.unitName(number)).inis.get(1)).toContain('max_db_connections=100');
    }
    fleet.juju.cutOff.delete(leader);
    await fleet.settle();
    expect(fleet.statuses).toEqual(['active', 'active', 'active']);
    expect(credentialsOf(fleet, relations)).toEqual(before);
    for (const number of [0, 1, 2])
      for (const { username } of Object.values(before)) expect(fleet.loginsOn(number)).toContain(username);
  });

  it('is refreshed back, and every client still has what it had', async () => {
    const { fleet: made, relations } = await served(8);
    await using fleet = made;
    const [peers = -1, upgrade = -1] = ['pgb-peers', 'upgrade'].flatMap((at) =>
      fleet.juju.relationsOf(application, at),
    );
    const kept = () => ({
      credentials: credentialsOf(fleet, relations),
      databases: fleet.juju.bag(peers, application)['pgb_dbs_config'],
      refreshes: [application, ...fleet.juju.unitsOf(application)].map(
        (member) => fleet.juju.bag(upgrade, member)['state'],
      ),
      dependencies: fleet.juju.bag(upgrade, application)['dependencies'],
    });
    const before = kept();
    expect(before.refreshes).toContain('idle');
    fleet.refresh();
    await fleet.settle();
    expect(kept()).toEqual(before);
    fleet.juju.refresh(application, ancestorCharm());
    await fleet.settle();
    expect(kept()).toEqual(before);
  });

  it('removes a login with its relation, and no other', async () => {
    const { fleet: made, relations } = await served(4, 1);
    await using fleet = made;
    const before = credentialsOf(fleet, relations);
    fleet.refresh();
    await fleet.settle();
    for (const id of [relations.orders, relations.legacy]) fleet.juju.removeRelation(id);
    await fleet.settle();
    const rest = ['plain', 'root', 'admin'].map((name) => before[name]?.username ?? '');
    expect(new Set(fleet.postgres.logins.keys())).toEqual(new Set([...rest, ...lookupsIn(fleet)]));
    expect(fleet.loginsOn(0)).toEqual(expect.arrayContaining(rest));
    expect(fleet.statuses).toEqual(['active']);
  });

  it('takes nothing over that stands in a client’s own bag only', async () => {
    const { fleet: made } = await served(5, 1);
    await using fleet = made;
    fleet.refresh();
    await fleet.settle();
    const sly = fleet.relateClient('sly', {
      database: 'orders',
      'requested-secrets': '',
      username: 'relation_user',
      password: 'guessed',
      'secret-user': 'secret:guessed',
    });
    await fleet.settle();
    expect(fleet.answerTo(sly)['username']).toBe(`pgbouncer_k8s_sly_${sly}`);
  });
});

describe('units that served TLS', () => {
  it('go on with their keys and certificates, and ask for no others', async () => {
    const tls = { ...first, authority };
    await using fleet = await CharmFleet.open(21, 2, { before: ancestorCharm({ tls }) });
    fleet.relateBackend();
    fleet.relateClient('orders');
    const certificates = fleet.relateAuthority(first.certificate, authority);
    await fleet.settle();
    const asked = () => fleet.juju.unitsOf(application).map((unit) => fleet.juju.bag(certificates, unit));
    const before = asked();
    expect(before.map((bag) => bag['certificate_signing_requests'])).toEqual(
      [0, 1].map((number) =>
        JSON.stringify([{ certificate_signing_request: signingRequestOf(fleet.unitName(number)) }]),
      ),
    );
    fleet.refresh();
    await fleet.settle();
    expect(fleet.statuses).toEqual(['active', 'active']);
    expect(asked().map((bag) => bag['certificate_signing_requests'])).toEqual(
      before.map((bag) => bag['certificate_signing_requests']),
    );
    for (const number of [0, 1])
      expect(fleet.materials.get(fleet.unitName(number))).toMatchObject({
        key: new Secret(first.key),
        certificate: first.certificate,
      });
  });
});

describe('the limit of connections of a fleet that was refreshed', () => {
  const refreshed = async (seed: number) => {
    const { fleet } = await served(seed);
    fleet.juju.configure(application, { max_db_connections: 20 });
    await fleet.settle();
    fleet.refresh();
    await fleet.settle();
    return fleet;
  };
  const act = (fleet: CharmFleet, unit: number, action: string) => fleet.juju.runAction(fleet.unitName(unit), action);
  const given = (fleet: CharmFleet): number =>
    fleet.juju
      .unitsOf(application)
      .flatMap((_, number) => fleet.bagOf(number).budget)
      .filter(({ name }) => name === 'orders')
      .reduce((sum, one) => sum + one.given, 0);
  const remarksOf = async (fleet: CharmFleet): Promise<readonly string[]> => {
    const { results } = await act(fleet, fleet.leader(), 'status');
    const status: { units: { unit: string; status: string; remarks: { id: string; message: string }[] }[] } =
      JSON.parse(String(results['status']));
    expect(status.units.map((unit) => unit.status)).toEqual(['active', 'active', 'active']);
    return status.units.flatMap(({ remarks }) => remarks.map(({ id, message }) => `${id}: ${message}`));
  };

  it('is what all its PgBouncers had together, which the leader says, through leaders and units that come and go', async () => {
    await using fleet = await refreshed(11);
    expect(given(fleet)).toBe(20 * 2 * 3);
    expect(await remarksOf(fleet)).toEqual([
      expect.stringMatching(
        /^kept-limit: max_db_connections=20 .* 120 connections .* \(20 for each of 2 PgBouncers on 3 units\)/,
      ),
    ]);
    fleet.juju.moveLeadership(application, fleet.unitName((fleet.leader() + 1) % 3));
    fleet.juju.configure(application, { pool_mode: 'transaction' });
    fleet.juju.scale(application, 4);
    await fleet.settle();
    expect(given(fleet)).toBe(120);
    fleet.juju.scale(application, 3);
    await fleet.settle();
    expect(given(fleet)).toBe(120);
    expect(await remarksOf(fleet)).toHaveLength(1);
  });

  it('is the option’s once that has another value, and stays so when it has the earlier one again', async () => {
    await using fleet = await refreshed(12);
    for (const limit of [60, 20]) {
      fleet.juju.configure(application, { max_db_connections: limit });
      await fleet.settle();
      expect(given(fleet)).toBe(limit);
      expect(await remarksOf(fleet)).toEqual([]);
    }
  });

  it('is the option’s once the operator has said so to the leader', async () => {
    await using fleet = await refreshed(13);
    const follower = await act(fleet, (fleet.leader() + 1) % 3, 'confirm-connection-limit');
    expect(follower.message).toContain('run it on the leader');
    await fleet.settle();
    expect(given(fleet)).toBe(120);
    const { results } = await act(fleet, fleet.leader(), 'confirm-connection-limit');
    expect(results['result']).toBe('max_db_connections is for the whole fleet from now on');
    await fleet.settle();
    expect(given(fleet)).toBe(20);
    expect(await remarksOf(fleet)).toEqual([]);
    const again = await act(fleet, fleet.leader(), 'confirm-connection-limit');
    expect(again.results['result']).toBe('max_db_connections was for the whole fleet already');
  });

  it('is none where there was none, and the option’s in a fleet that was never of that charm', async () => {
    const { fleet: made } = await served(14);
    await using fleet = made;
    fleet.juju.configure(application, { max_db_connections: 0 });
    await fleet.settle();
    fleet.refresh();
    await fleet.settle();
    expect(await remarksOf(fleet)).toEqual([]);
    fleet.juju.configure(application, { max_db_connections: 30 });
    await fleet.settle();
    expect(given(fleet)).toBe(30);
    await using other = await CharmFleet.open(15, 3);
    other.relateBackend();
    other.relateClient('orders');
    await other.settle();
    expect(given(other)).toBe(100);
  });
});

const lookupsIn = (fleet: CharmFleet): readonly string[] =>
  [...fleet.postgres.logins.keys()].filter((name) => name.endsWith('_lookup'));

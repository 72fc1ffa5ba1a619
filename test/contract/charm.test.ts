/**
 * The charm through its own dispatch in a Juju model, hook by hook: what waits is seen as a wait, and ends by the hook that brings
 * what was missing.
 */
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/actors/kit/random.ts';
import { openKubernetesApi } from '../../src/infra/kubernetes/api.ts';
import { ApiServer } from '../support/kubernetes/api-server.ts';
import { authority, first } from '../support/certificates.ts';
import { application, CharmFleet } from '../support/charm-fleet.ts';

const endpoint = `${application}-service.prod.svc.cluster.local:6432`;
const active = (units: number): readonly string[] => Array.from({ length: units }, () => 'active');

/** Three units with a backend and one client. */
const serving = async (seed: number, units = 3): Promise<{ readonly fleet: CharmFleet; readonly orders: number }> => {
  const fleet = await CharmFleet.open(seed, units);
  fleet.relateBackend();
  const orders = fleet.relateClient('orders');
  await fleet.settle();
  expect(fleet.statuses).toEqual(active(units));
  return { fleet, orders };
};

/** As Kubernetes shows the pod of a unit, on the one node there is. */
const podOf = (number: number) => ({
  metadata: {
    name: `${application}-${number}`,
    namespace: 'prod',
    labels: { 'app.kubernetes.io/name': application },
    ownerReferences: [{ apiVersion: 'apps/v1', kind: 'StatefulSet', name: application, uid: 'b7e1', controller: true }],
  },
  spec: { nodeName: 'n1', containers: [] },
});

describe('the charm', () => {
  it.each([1, 2, 3])('serves clients from three units that start in any order (seed %i)', async (seed) => {
    const { fleet: made, orders } = await serving(seed);
    await using fleet = made;
    const answer = fleet.answerTo(orders);
    expect(answer).toMatchObject({ database: 'orders', endpoints: endpoint, version: '17.0' });
    for (const number of [0, 1, 2]) expect(fleet.loginsOn(number)).toContain(answer['username']);
    expect(fleet.postgres.logins.has(answer['username'] ?? '')).toBe(true);
  });

  it('answers clients of both versions and of the legacy interface, each in its own words', async () => {
    await using fleet = await CharmFleet.open(12, 2);
    fleet.relateBackend();
    const ids = ['f89fb726a8db4598', '5da82289cbe58ea8'];
    const requests = ids.map((id, index) => ({
      resource: `newer${index}`,
      'request-id': id,
      salt: 'aFooC5VZJMkZq9A4',
    }));
    const newer = fleet.relateClient('newer', { version: 'v1', requests: JSON.stringify(requests) });
    const legacy = fleet.relateLegacy('legacy', 'db', 'older');
    const admin = fleet.relateLegacy('admin', 'db-admin', 'older');
    await fleet.settle();
    expect(fleet.statuses).toEqual(active(2));
    const bag = fleet.juju.bag(newer, application);
    expect(bag['version']).toBe('v1');
    const responses: Record<string, string>[] = JSON.parse(bag['requests'] ?? '[]');
    expect(new Set(responses.map((response) => response['request-id']))).toEqual(new Set(ids));
    const logins = responses.map((response) => fleet.juju.secret(response['secret-user'] ?? '')?.['username'] ?? '');
    expect(new Set(logins).size).toBe(2);
    for (const relation of [legacy, admin])
      for (const member of [application, fleet.unitName(0), fleet.unitName(1)])
        expect(fleet.juju.bag(relation, member)).toMatchObject({ database: 'older', port: '6432', state: 'master' });
    const user = (relation: number) => fleet.juju.bag(relation, application)['user'] ?? '';
    for (const login of [...logins, user(legacy), user(admin)]) {
      expect(fleet.loginsOn(0)).toContain(login);
      expect(fleet.postgres.logins.has(login)).toBe(true);
    }
    for (const relation of [newer, legacy]) fleet.juju.removeRelation(relation);
    await fleet.settle();
    expect([...fleet.postgres.logins.keys()]).toEqual([user(admin)]);
    expect(fleet.ownSecrets()).toEqual(['troupe']);
  });

  it('does not serve what it cannot, says so to both sides, and serves the others', async () => {
    await using fleet = await CharmFleet.open(13, 1);
    fleet.relateBackend();
    const orders = fleet.relateClient('orders');
    const strange = fleet.relateClient('strange', { database: 'strange', 'extra-user-roles': 'SUPERUSER' });
    await fleet.settle();
    expect(fleet.waits(0)).toEqual(['client:strange:request']);
    expect(fleet.status(0)).toMatch(/^blocked: not all that client "strange" asks for is served: .*superuser/);
    expect(fleet.juju.bag(strange, application)['status']).toContain('superuser');
    expect(fleet.answerTo(orders)['username']).toBeDefined();
    fleet.juju.removeRelation(strange);
    await fleet.settle();
    expect(fleet.statuses).toEqual(['active']);
  });

  it('of an application that is removed leaves no login of a client behind', async () => {
    const { fleet: made, orders } = await serving(14, 2);
    await using fleet = made;
    const { username = '' } = fleet.answerTo(orders);
    fleet.juju.removeApplication(application);
    await fleet.settle();
    expect(fleet.juju.applications.has(application)).toBe(false);
    expect(fleet.postgres.logins.has(username)).toBe(false);
  });

  it('without units keeps its relations, and serves them with the same credentials when there are units again', async () => {
    const { fleet: made, orders } = await serving(15, 2);
    await using fleet = made;
    const answer = fleet.answerTo(orders);
    fleet.juju.scale(application, 0);
    await fleet.settle();
    expect(fleet.postgres.logins.has(answer['username'] ?? '')).toBe(false);
    fleet.juju.scale(application, 1);
    await fleet.settle();
    expect(fleet.statuses).toEqual(['active']);
    expect(fleet.answerTo(orders)).toEqual(answer);
    expect(fleet.postgres.logins.has(answer['username'] ?? '')).toBe(true);
  });

  it('leads clients through its Service, and to the nodes when they are outside of the cluster', async () => {
    await using cluster = await ApiServer.open();
    cluster.nodes.push({
      metadata: { name: 'n1' },
      status: { addresses: [{ type: 'InternalIP', address: '10.1.0.1' }] },
    });
    cluster.pods.push(podOf(0));
    using api = openKubernetesApi(cluster.place);
    await using fleet = await CharmFleet.open(16, 1);
    fleet.kubernetes = api;
    fleet.relateBackend();
    const orders = fleet.relateClient('orders');
    await fleet.settle();
    expect(fleet.answerTo(orders)['endpoints']).toBe(endpoint);
    expect([...cluster.services.values()].map(({ spec }) => spec?.type)).toEqual(['ClusterIP']);
    const before = fleet.answerTo(orders)['password'];
    fleet.juju.configure(application, { 'expose-external': 'nodeport' });
    await fleet.settle();
    const nodePort = [...cluster.services.values()][0]?.spec?.ports?.[0]?.nodePort;
    expect(fleet.answerTo(orders)).toMatchObject({ endpoints: `10.1.0.1:${nodePort}`, password: before });
    cluster.may = () => false;
    fleet.juju.configure(application, { 'expose-external': 'false' });
    await fleet.settle();
    expect(fleet.status(0)).toMatch(/^blocked: .*juju trust/);
    cluster.may = () => true;
    await fleet.settle();
    expect(fleet.statuses).toEqual(['active']);
    expect(fleet.answerTo(orders)['endpoints']).toBe(endpoint);
  });

  it('tells clients outside of the cluster of another port once every unit listens there, and not before', async () => {
    await using cluster = await ApiServer.open();
    cluster.nodes.push({
      metadata: { name: 'n1' },
      status: { addresses: [{ type: 'InternalIP', address: '10.1.0.1' }] },
    });
    cluster.pods.push(podOf(0), podOf(1), podOf(2));
    using api = openKubernetesApi(cluster.place);
    await using fleet = await CharmFleet.open(18, 3);
    fleet.kubernetes = api;
    fleet.juju.configure(application, { 'expose-external': 'nodeport' });
    fleet.relateBackend();
    const orders = fleet.relateClient('orders');
    await fleet.settle();
    const told = () => fleet.answerTo(orders)['endpoints'];
    const nodePortOf = (wanted: number) =>
      [...cluster.services.values()].flatMap(({ spec }) => spec?.ports ?? []).find(({ port }) => port === wanted)
        ?.nodePort;
    const before = told();
    expect(before).toBe(`10.1.0.1:${nodePortOf(6432)}`);

    fleet.juju.configure(application, { listen_port: 6543 });
    const listening = () => [0, 1, 2].map((number) => fleet.bagOf(number).address.split(':')[1]);
    let moving = 0;
    for (let ran = await fleet.juju.step(); ran !== null; ran = await fleet.juju.step()) {
      const ports = listening();
      if (new Set(ports).size === 2) moving += 1;
      if (ports.includes('6432')) expect(told(), `${ran.unit} ${ran.hook}`).toBe(before);
    }
    expect(moving).toBeGreaterThan(0);
    await fleet.settle();
    expect(listening()).toEqual(['6543', '6543', '6543']);
    expect(told()).toBe(`10.1.0.1:${nodePortOf(6543)}`);
    expect(told()).not.toBe(before);
    expect(nodePortOf(6432)).toBeUndefined();
  });

  it('asks for a certificate for each unit, says what is wrong with one, and keeps it with its key where nobody reads it', async () => {
    await using fleet = await CharmFleet.open(17, 1);
    fleet.relateBackend();
    await fleet.settle();
    const certificates = fleet.relateAuthority(first.certificate, authority);
    await fleet.settle();
    const unit = fleet.unitName(0);
    expect(fleet.status(0)).toMatch(
      /^waiting: .* lacks a certificate that it asked for: .*the certificate is of another key/,
    );
    expect(fleet.materials.get(unit)).toBeNull();
    const request = fleet.juju.bag(certificates, unit)['certificate_signing_requests'];
    expect(request).toContain('BEGIN CERTIFICATE REQUEST');
    const outcome = await fleet.juju.runAction(unit, 'set-tls-private-key', {
      'private-key': Buffer.from(first.key).toString('base64'),
    });
    expect(outcome.status).toBe('completed');
    await fleet.settle();
    expect(fleet.juju.bag(certificates, unit)['certificate_signing_requests']).not.toBe(request);
    expect(fleet.statuses).toEqual(['active']);
    const material = fleet.materials.get(unit);
    expect(material?.certificate).toContain(first.certificate.trim());
    expect(material?.authorities).toContain(authority.trim());
    expect(JSON.stringify(fleet.juju.unit(unit).state)).not.toContain('PRIVATE KEY');
    const nonsense = await fleet.juju.runAction(unit, 'set-tls-private-key', { 'private-key': 'nonsense' });
    expect(nonsense).toMatchObject({ status: 'failed', message: expect.stringContaining('give it as PEM') });
    await fleet.settle();
    expect(fleet.materials.get(unit)).toEqual(material);
    fleet.juju.removeRelation(certificates);
    await fleet.settle();
    expect(fleet.materials.get(unit)).toBeNull();
    expect(fleet.statuses).toEqual(['active']);
  });

  it('says that a key is for nothing while nobody signs', async () => {
    await using fleet = (await serving(18, 1)).fleet;
    const told = await fleet.juju.runAction(fleet.unitName(0), 'set-tls-private-key');
    expect(told).toMatchObject({ status: 'failed', message: expect.stringContaining('relate the application') });
    await fleet.settle();
    expect(fleet.statuses).toEqual(['active']);
  });

  it.each([1, 2, 3])(
    'takes nothing from clients when its leader leaves, though it hears first that it leaves their relations (seed %i)',
    async (seed) => {
      const { fleet: opened, orders } = await serving(seed, 2);
      await using fleet = opened;
      const { juju, postgres } = fleet;
      juju.scale('orders', 0); // Of a relation without units over there it hears nothing but that it is broken.
      juju.moveLeadership(application, fleet.unitName(1));
      await fleet.settle();
      const [answer, login] = [fleet.answerTo(orders), fleet.answerTo(orders)['username'] ?? ''];
      const password = postgres.logins.get(login);
      expect(password).toBeDefined();
      juju.scale(application, 1);
      juju.moveLeadership(application, fleet.unitName(1)); // Which it keeps to its end.
      while ((await juju.step()) !== null) {
        expect(postgres.logins.get(login)).toEqual(password);
        expect(fleet.answerTo(orders)).toEqual(answer);
      }
      expect(fleet.statuses).toEqual(['active']);
    },
  );

  it('tells its status when asked, and whether it is fit to be refreshed', async () => {
    await using fleet = (await serving(18, 1)).fleet;
    const told = await fleet.juju.runAction(fleet.unitName(0), 'status');
    expect(told.status).toBe('completed');
    expect(JSON.parse(String(told.results['status']))).toMatchObject({
      application,
      backplane: { kind: 'juju' },
      leader: { unit: fleet.unitName(0) },
      units: [{ unit: fleet.unitName(0), status: 'active' }],
    });
    for (const action of ['pre-upgrade-check', 'resume-upgrade'])
      expect((await fleet.juju.runAction(fleet.unitName(0), action)).status).toBe('completed');
    fleet.postgres.away = 'connection refused';
    const unfit = await fleet.juju.runAction(fleet.unitName(0), 'pre-upgrade-check');
    expect(unfit).toMatchObject({
      status: 'failed',
      message: expect.stringMatching(/^do not refresh yet: .* is blocked/),
    });
  });

  it('calls no more than six hook tools and one for each bag when nothing has changed, and writes nothing', async () => {
    await using fleet = (await serving(4)).fleet;
    fleet.relateClient('newer', {
      version: 'v1',
      requests: JSON.stringify([{ resource: 'newer', 'request-id': 'f89fb726a8db4598', salt: 'aFooC5VZJMkZq9A4' }]),
    });
    fleet.relateLegacy('older', 'db', 'older');
    fleet.relateAuthority(first.certificate, authority);
    await fleet.settle();
    fleet.juju.updateStatus(application);
    for (const { unit, calls } of await fleet.juju.settle()) {
      const tools = calls.map(({ tool }) => tool);
      expect([unit, tools.filter((tool) => tool !== 'relation-get').length]).toEqual([
        unit,
        expect.toSatisfy((n) => n <= 6),
      ]);
      expect(tools.filter((tool) => /-(set|add|grant|remove)$/.test(tool))).toEqual([]);
    }
  });

  it('lets in the units of a legacy client that it has, and no others', async () => {
    await using fleet = await CharmFleet.open(14, 2);
    fleet.relateBackend();
    const older = fleet.relateLegacy('older', 'db', 'older');
    await fleet.settle();
    const letIn = () =>
      [application, fleet.unitName(0), fleet.unitName(1)].map(
        (member) => fleet.juju.bag(older, member)['allowed-units'],
      );
    expect(letIn()).toEqual(['older/0', 'older/0', 'older/0']);
    fleet.juju.scale('older', 2);
    await fleet.settle();
    expect(letIn()).toEqual(['older/0,older/1', 'older/0,older/1', 'older/0,older/1']);
    fleet.juju.moveLeadership(application, fleet.unitName(1 - fleet.leader()));
    fleet.juju.scale('older', 1);
    await fleet.settle();
    expect(letIn()).toEqual(['older/0', 'older/0', 'older/0']);
  });

  it('brings options to every unit; one that cannot be blocks the leader with a sentence, and fails no hook', async () => {
    await using fleet = (await serving(5)).fleet;
    fleet.juju.configure(application, { pool_mode: 'transaction' });
    await fleet.settle();
    expect(fleet.statuses).toEqual(active(3));
    const inis = () => [0, 1, 2].map((number) => fleet.machine.diskOf(fleet.unitName(number)).inis.get(1) ?? '');
    for (const ini of inis()) expect(ini).toMatch(/^pool_mode = transaction$/m);
    fleet.juju.configure(application, { pool_mode: 'often', query_timeout: 7 });
    const ran = await fleet.settle();
    expect(ran.filter(({ succeeded }) => !succeeded)).toEqual([]);
    const leader = fleet.leader();
    expect(fleet.status(leader)).toMatch(
      /^blocked: option pool_mode cannot be what is asked for: pool_mode=often must be one of session, transaction, statement; /,
    );
    for (const ini of inis()) expect(ini).toMatch(/^pool_mode = transaction$/m);
    for (const ini of inis()) expect(ini).toMatch(/^query_timeout = 7$/m);
    fleet.juju.configure(application, { pool_mode: 'session' });
    await fleet.settle();
    expect(fleet.statuses).toEqual(active(3));
  });

  it('goes on under another leader as it was', async () => {
    const { fleet: made, orders } = await serving(6);
    await using fleet = made;
    const [answer, lease] = [fleet.answerTo(orders), fleet.lease()];
    fleet.juju.moveLeadership(application, fleet.unitName((fleet.leader() + 1) % 3));
    await fleet.settle();
    expect(fleet.statuses).toEqual(active(3));
    expect(fleet.answerTo(orders)).toEqual(answer);
    expect(fleet.lease()).toEqual({ holder: fleet.unitName(fleet.leader()), epoch: lease.epoch + 1 });
    fleet.juju.configure(application, { pool_mode: 'transaction' });
    const reports = fleet.relateClient('reports');
    await fleet.settle();
    expect(fleet.statuses).toEqual(active(3));
    expect(fleet.answerTo(reports)).toMatchObject({ database: 'reports', endpoints: endpoint });
  });

  it('divides its connections over 3, 5 and 1 units, and relations outlive the units that leave', async () => {
    const { fleet: made, orders } = await serving(7);
    await using fleet = made;
    const answer = fleet.answerTo(orders);
    for (const units of [5, 1]) {
      fleet.juju.scale(application, units);
      await fleet.settle();
      expect(fleet.statuses).toEqual(active(units));
      const shares = Array.from({ length: units }, (_, number) => fleet.bagOf(number).budget[0]?.given ?? 0);
      expect(shares.reduce((sum, share) => sum + share, 0)).toBe(100);
    }
    expect(fleet.answerTo(orders)).toEqual(answer);
    expect(fleet.postgres.logins.has(answer['username'] ?? '')).toBe(true);
  });

  it('finds everything again when pods are made anew', async () => {
    const { fleet: made, orders } = await serving(8);
    await using fleet = made;
    const answer = fleet.answerTo(orders);
    for (const how of ['stopped', 'cutOff'] as const) {
      await fleet.juju.churnPod(fleet.unitName(1), how);
      await fleet.settle();
      expect(fleet.statuses).toEqual(active(3));
    }
    expect(fleet.answerTo(orders)).toEqual(answer);
    expect(fleet.loginsOn(1)).toContain(answer['username']);
  });

  it('starts what has ended as soon as a check of Pebble fails, by one hook, and has nothing to do when it is up again', async () => {
    await using fleet = (await serving(9, 1)).fleet;
    const unit = fleet.unitName(0);
    const turn = async (kind: 'check-failed' | 'check-recovered') => {
      const environment = { JUJU_PEBBLE_CHECK_NAME: 'pgbouncer' };
      fleet.juju.notify(unit, { container: 'pgbouncer', kind, environment });
      return fleet.juju.settle();
    };
    const processes = () => [1, 2].map((instance) => fleet.machine.processOf(unit, instance));
    for (const process of processes()) if (process !== null) fleet.machine.end(process);
    expect(processes()).toEqual([null, null]);
    expect((await turn('check-failed')).map(({ hook }) => hook)).toEqual(['pgbouncer-pebble-check-failed']);
    expect(processes()).not.toContain(null);
    expect(fleet.statuses).toEqual(active(1));
    const [up, ...others] = await turn('check-recovered');
    expect(others).toEqual([]);
    expect(up?.calls.filter(({ tool }) => /-(set|add|grant|remove)$/.test(tool))).toEqual([]);
  });

  it('removes a client that went while the backend was away as soon as it is back, its secrets at once', async () => {
    const { fleet: made, orders } = await serving(9);
    await using fleet = made;
    const { username = '' } = fleet.answerTo(orders);
    fleet.postgres.away = 'connection refused';
    fleet.juju.removeRelation(orders);
    await fleet.settle();
    expect(fleet.postgres.logins.has(username)).toBe(true);
    expect(fleet.waits(fleet.leader())).toContain('client:orders:removal');
    for (const number of [0, 1, 2]) expect(fleet.loginsOn(number)).not.toContain(username);
    expect(fleet.ownSecrets()).toEqual(['troupe']);
    fleet.postgres.away = null;
    await fleet.settle();
    expect(fleet.postgres.logins.has(username)).toBe(false);
    expect(fleet.statuses).toEqual(active(3));
  });

  it('without a backend says what to relate, and serves its clients as before when there is one again', async () => {
    const { fleet: made, orders } = await serving(10);
    await using fleet = made;
    const answer = fleet.answerTo(orders);
    const [backend = -1] = fleet.juju.relationsOf(application, 'backend-database');
    fleet.juju.removeRelation(backend);
    await fleet.settle();
    expect(fleet.status(fleet.leader())).toMatch(
      /^blocked: .* juju integrate pgbouncer-k8s:backend-database POSTGRESQL$/,
    );
    expect(fleet.loginsOn(0)).not.toContain(answer['username']);
    fleet.postgres.logins.clear();
    fleet.juju.integrate(`${application}:backend-database`, 'postgresql:database');
    await fleet.settle();
    expect(fleet.statuses).toEqual(active(3));
    expect(fleet.answerTo(orders)).toEqual(answer);
    expect(fleet.postgres.logins.has(answer['username'] ?? '')).toBe(true);
    expect(fleet.loginsOn(2)).toContain(answer['username']);
  });

  it('forgets a client that goes while no backend is related', async () => {
    const { fleet: made, orders } = await serving(11);
    await using fleet = made;
    const [backend = -1] = fleet.juju.relationsOf(application, 'backend-database');
    fleet.juju.removeRelation(backend);
    await fleet.settle();
    fleet.juju.removeRelation(orders);
    await fleet.settle();
    expect(fleet.waits(fleet.leader())).toEqual(['backend']);
  });
});

describe('a hook that fails', () => {
  /** Everything that lasts, but for what is random or tells the time. */
  const stateOf = (fleet: CharmFleet, relations: readonly number[]) => ({
    statuses: fleet.statuses,
    answers: relations.map((id) => {
      const { password, uris, 'secret-user': user, 'secret-tls': tls, data, ...rest } = fleet.answerTo(id);
      return { ...rest, hasPassword: password !== undefined && uris?.includes(password) };
    }),
    secrets: fleet.ownSecrets().toSorted(),
    inPostgres: [...fleet.postgres.logins.keys()].toSorted(),
    inAuthFiles: [0, 1].map((number) => fleet.loginsOn(number)),
    waits: [0, 1].map((number) => fleet.waits(number)),
  });

  const history = async (seed: number, faultAt: CharmFleet['juju']['faultAt']) => {
    await using fleet = await CharmFleet.open(seed, 2);
    fleet.juju.faultAt = faultAt;
    fleet.relateBackend();
    const orders = fleet.relateClient('orders');
    const reports = fleet.relateClient('reports');
    await fleet.settle();
    fleet.juju.configure(application, { pool_mode: 'transaction' });
    fleet.juju.removeRelation(reports);
    await fleet.settle();
    return { state: stateOf(fleet, [orders]), failed: fleet.juju.history.filter(({ succeeded }) => !succeeded).length };
  };

  it.each([1, 2, 3, 4])('at any call of a hook tool is run again, and comes to the same (seed %i)', async (seed) => {
    const calm = await history(seed, () => null);
    const random = new Random(seed);
    const faulty = await history(seed, ({ unit }) =>
      unit.startsWith(application) && random.chance(0.05) ? (random.pick(['before', 'after'] as const) ?? null) : null,
    );
    expect(faulty.failed).toBeGreaterThan(5);
    expect(faulty.state).toEqual(calm.state);
    expect(calm.state.secrets).toHaveLength(3);
  });
});

describe('what the ancestor defers', () => {
  it('a client, until its backend is there (client:orders:backend), and no auth file names it before', async () => {
    await using fleet = await CharmFleet.open(22, 2);
    const orders = fleet.relateClient('orders');
    await fleet.settle();
    const leader = fleet.leader();
    expect(fleet.waits(leader)).toEqual(expect.arrayContaining(['backend', 'client:orders:backend']));
    fleet.postgres.away = 'connection refused';
    fleet.relateBackend();
    await fleet.settle();
    expect(fleet.waits(leader)).toEqual(expect.arrayContaining(['backend:main', 'client:orders:backend']));
    expect(fleet.loginsOn(leader).filter((name) => name.includes('orders'))).toEqual([]);
    expect(fleet.answerTo(orders)['secret-user']).toBeUndefined();
    fleet.postgres.away = null;
    await fleet.settle();
    expect(fleet.statuses).toEqual(['active', 'active']);
    expect(fleet.answerTo(orders)).toMatchObject({ endpoints: endpoint });
  });

  it('a client, until every live unit serves it (client:orders:units), and no longer than half a minute', async () => {
    await using fleet = await CharmFleet.open(23, 2);
    fleet.relateBackend();
    await fleet.settle();
    const leader = fleet.leader();
    const other = fleet.unitName(1 - leader);
    fleet.breakdowns.set(other, 'Pebble does not answer');
    const orders = fleet.relateClient('orders');
    await fleet.settle();
    expect(fleet.waits(leader)).toContain('client:orders:units');
    expect(fleet.answerTo(orders)['secret-user']).toBeUndefined();
    fleet.later(31_000);
    await fleet.settle();
    expect(fleet.waits(leader)).not.toContain('client:orders:units');
    expect(fleet.answerTo(orders)).toMatchObject({ endpoints: endpoint, database: 'orders' });
    fleet.breakdowns.clear();
    await fleet.settle();
    expect(fleet.statuses).toEqual(['active', 'active']);
  });
});

/** The charm's own dispatch against charms on the libraries of others, with PgBouncers and a PostgreSQL in memory. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { application, CharmFleet } from '../support/charm-fleet.ts';
import { ancestorCharm } from '../support/juju/ancestor.ts';
import { Counterparts, type Told } from '../support/juju/counterparts.ts';
import { counterpartsPython } from '../support/juju/counterparts-python.ts';

const python = await counterpartsPython();
const where = python.run === null ? `: ${python.reason}` : '';
const endpoint = `${application}-service.prod.svc.cluster.local:6432`;

const answers = {
  resource: 'pgbouncer',
  username: 'relation_user',
  password: 'backend-password',
  endpoints: 'db:5432',
  version: '17.0',
};
const asks = {
  'client-v0': [{ database_name: 'orders' }],
  'client-v1': [{ resource: 'stock' }, { resource: 'bills' }, { resource: 'more', extra_user_roles: 'SUPERUSER' }],
  'client-legacy': [{ database: 'old' }],
} as const;

describe.skipIf(python.run === null)(`the charm beside counterparts${where}`, { timeout: 300_000 }, () => {
  it.each(['backend-v0', 'backend-v1'] as const)('serves clients of all three kinds on %s', async (backend) => {
    const records = await mkdtemp(join(tmpdir(), 'troupe-counterparts-'));
    try {
      await using fleet = await CharmFleet.open(1, 2);
      const { juju } = fleet;
      const counterparts = new Counterparts(python.run ?? '', records);
      juju.deploy('postgresql', counterparts.charm(backend), counterparts.options({ answers }));
      juju.integrate(`${application}:backend-database`, 'postgresql:database');
      for (const name of ['client-v0', 'client-v1', 'client-legacy'] as const) {
        juju.deploy(name, counterparts.charm(name), counterparts.options({ asks: asks[name] }));
        const at = name === 'client-legacy' ? 'db' : 'database';
        juju.integrate(`${application}:${at}`, `${name}:${at}`);
      }
      await fleet.settle();

      expect(juju.history.filter(({ succeeded }) => !succeeded)).toEqual([]);
      expect(await counterparts.told('postgresql/0')).toMatchObject([{ resource: 'pgbouncer', roles: 'SUPERUSER' }]);
      const [v0, v1, legacy] = await Promise.all(
        ['client-v0/0', 'client-v1/0', 'client-legacy/0'].map((unit) => counterparts.told(unit)),
      );
      const created = (told: readonly Told[] | undefined) =>
        (told ?? []).filter(({ event }) => event.endsWith('CreatedEvent'));
      expect(created(v0)).toMatchObject([{ database: 'orders', endpoints: endpoint, version: '17.0', tls: 'False' }]);
      expect(created(v1)).toMatchObject([
        { resource: 'stock', endpoints: endpoint, tls: false },
        { resource: 'bills', endpoints: endpoint, tls: false },
      ]);
      // The request that is not served is told of, and harms none of the others.
      expect(v1).toContainEqual(expect.objectContaining({ event: 'StatusRaisedEvent', code: 5001 }));
      const available = (legacy ?? []).find(({ event }) => event === 'DatabaseAvailableEvent');
      const master = new URL(String(available?.['master']));
      expect([master.host, master.pathname]).toEqual([endpoint, '/old']);

      const logins = [...created(v0), ...created(v1)].map(({ username }) => String(username)).concat(master.username);
      expect(new Set(logins).size).toBe(4);
      for (const number of [0, 1]) expect(fleet.loginsOn(number)).toEqual(expect.arrayContaining(logins));
      for (const login of logins) expect(fleet.postgres.logins.has(login)).toBe(true);
    } finally {
      await rm(records, { recursive: true, force: true });
    }
  });

  it('takes the place of the charm before it, and no client is given anything a second time', async () => {
    const records = await mkdtemp(join(tmpdir(), 'troupe-counterparts-'));
    try {
      await using fleet = await CharmFleet.open(2, 2, { before: ancestorCharm() });
      const { juju } = fleet;
      const counterparts = new Counterparts(python.run ?? '', records);
      juju.deploy('postgresql', counterparts.charm('backend-v0'), counterparts.options({ answers }));
      juju.integrate(`${application}:backend-database`, 'postgresql:database');
      const relations = new Map<string, number>();
      for (const name of ['client-v0', 'client-v1', 'client-legacy'] as const) {
        // But for the request that nobody serves.
        const asked = asks[name].filter((request) => !('extra_user_roles' in request));
        juju.deploy(name, counterparts.charm(name), counterparts.options({ asks: asked }));
        const at = name === 'client-legacy' ? 'db' : 'database';
        relations.set(name, juju.integrate(`${application}:${at}`, `${name}:${at}`));
      }
      await fleet.settle();
      const told = async (unit: string) => (await counterparts.told(unit)).map(({ hook: _, ...rest }) => rest);
      const [created, ...others] = await told('client-v0/0');
      expect(others).toEqual([]);
      expect(created).toMatchObject({
        event: 'DatabaseCreatedEvent',
        username: `relation_id_${relations.get('client-v0')}`,
        endpoints: endpoint,
      });
      const legacy = await told('client-legacy/0');
      const login = (events: readonly Readonly<Record<string, unknown>>[]) => {
        const { username, password, host, pathname } = new URL(String(events.at(-1)?.['master']));
        return { username, password, host, pathname };
      };
      expect(login(legacy).username).toBe(`pgbouncer_k8s_user_${relations.get('client-legacy')}_prod`);
      expect(await told('client-v1/0')).toEqual([]);

      fleet.refresh();
      await fleet.settle();
      expect(juju.history.filter(({ succeeded }) => !succeeded)).toEqual([]);
      expect(fleet.statuses).toEqual(['active', 'active']);
      expect(await told('client-v0/0')).toEqual([created]);
      expect(login(await told('client-legacy/0'))).toEqual(login(legacy));
      const newer = await told('client-v1/0');
      expect(newer.filter(({ event }) => event === 'ResourceCreatedEvent')).toMatchObject([
        { resource: 'stock', endpoints: endpoint },
        { resource: 'bills', endpoints: endpoint },
      ]);
      // The charm of PostgreSQL was asked once, in the words of then.
      expect(await told('postgresql/0')).toHaveLength(1);
    } finally {
      await rm(records, { recursive: true, force: true });
    }
  });
});

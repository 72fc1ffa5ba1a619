import { describe, expect, it } from 'vitest';
import { authority, first } from '../support/certificates.ts';
import { Endurance } from '../support/charm-endures.ts';
import { application } from '../support/charm-fleet.ts';

/** A life has some thousand places to fail at: all of them are tried when there is time, else some, others with each seed. */
const isLong = process.env['TROUPE_TEST_LONG'] === '1';
const parts = 12;
const lives = isLong
  ? Array.from({ length: parts }, (_, part) => ({ seed: 1, every: parts, from: part }))
  : [1, 2].map((seed) => ({ seed, every: 150, from: seed * 40 }));

const longestMs = 1_800_000;

const v1Request = { resource: 'newer', 'request-id': 'f89fb726a8db4598', salt: 'aFooC5VZJMkZq9A4' };

/** Those that change something, and what is done to PgBouncers and PostgreSQL. */
const tools = ['relation-set', 'state-set', 'status-set', 'secret-add', 'secret-set', 'secret-grant', 'secret-remove'];
const steps = ['prove', 'write', 'start', 'reload', 'verify', 'stop', 'raiseFence', 'ensureLogin', 'dropLogin'];

describe('a hook that fails and is run again', () => {
  it.each(lives)(
    'leaves what it would have left at once, wherever it failed (seed $seed, from place $from every $every)',
    async ({ seed, every, from }) => {
      await using life = await Endurance.open(seed, 2, (place) => place % every === from);
      const { fleet } = life;
      const { juju } = fleet;
      const expectActive = (units: number): void =>
        expect(fleet.statuses).toEqual(Array.from({ length: units }, () => 'active'));
      const giveKeys = (): void => {
        for (const unit of juju.unitsOf(application))
          void juju.startAction(unit, 'set-tls-private-key', {
            'private-key': Buffer.from(first.key).toString('base64'),
          });
      };
      const related = { reports: 0, certificates: 0 };

      await life.act(() => {
        fleet.relateBackend();
        fleet.relateClient('orders');
        related.reports = fleet.relateClient('reports');
      });
      expectActive(2);
      await life.act(() => {
        fleet.relateClient('newer', { version: 'v1', requests: JSON.stringify([v1Request]) });
        fleet.relateLegacy('legacy', 'db', 'older');
        fleet.relateLegacy('admin', 'db-admin', 'older');
      });
      expectActive(2);
      await life.act(() => {
        related.certificates = fleet.relateAuthority(first.certificate, authority);
      });
      await life.act(giveKeys);
      expectActive(2);
      await life.act(() => {
        juju.configure(application, { pool_mode: 'transaction', listen_port: 6433 });
        juju.scale(application, 3);
        juju.moveLeadership(application, fleet.unitName(1));
      });
      await life.act(giveKeys);
      expectActive(3);
      await life.act(() => fleet.refresh());
      expectActive(3);
      await life.act(() => {
        juju.removeRelation(related.reports);
        juju.removeRelation(related.certificates);
        juju.scale(application, 1);
      });
      expectActive(1);
      const [backend = 0] = juju.relationsOf(application, 'backend-database');
      await life.act(() => juju.removeRelation(backend));
      await life.act(() => void juju.integrate(`${application}:backend-database`, 'postgresql:database'));
      expectActive(1);
      await life.act(() => juju.removeApplication(application));
      expect(juju.applications.has(application)).toBe(false);

      for (const { place, expected, found } of life.differences) expect(found, place).toEqual(expected);
      expect(life.tried).toBeGreaterThan(150);
      expect([...life.kinds]).toEqual(
        expect.arrayContaining([
          ...['before', 'after', 'dies'].flatMap((failure) => tools.map((tool) => `${failure} ${tool}`)),
          ...steps.map((step) => `effect ${step}`),
        ]),
      );
    },
    longestMs,
  );
});

import { describe, expect, it } from 'vitest';
import type { UnitName } from '../../src/actors/model/ids.ts';
import { dispatchedBy } from '../../src/infra/juju/environment.ts';
import { type HookEvent, hookOf, occasionOf } from '../../src/programs/charm-hooks.ts';

const self = 'pgbouncer-k8s/0' as UnitName;
const dispatch = (hook: string, variables: Readonly<Record<string, string>> = {}): HookEvent => {
  const { event } = dispatchedBy({ JUJU_DISPATCH_PATH: `hooks/${hook}`, JUJU_UNIT_NAME: self, ...variables });
  if (event.type === 'action' || event.type === 'ignored') throw new Error(`${hook} is no hook: ${event.type}`);
  return event;
};
const relation = (endpoint: string, id = 7) => ({
  JUJU_RELATION: endpoint,
  JUJU_RELATION_ID: `${endpoint}:${id}`,
  JUJU_REMOTE_APP: 'app',
});

describe('a hook of Juju', () => {
  it.each([
    ['install', {}, { type: 'install' }],
    ['start', {}, { type: 'start' }],
    ['upgrade-charm', {}, { type: 'upgradeCharm' }],
    ['pgbouncer-pebble-ready', { JUJU_WORKLOAD_NAME: 'pgbouncer' }, { type: 'workloadReady' }],
    ['config-changed', {}, { type: 'optionsChanged' }],
    ['leader-elected', {}, { type: 'leaderElected' }],
    ['leader-settings-changed', {}, { type: 'updateStatus' }],
    ['update-status', {}, { type: 'updateStatus' }],
    ['stop', {}, { type: 'stop' }],
    ['remove', {}, { type: 'remove' }],
    ['secret-changed', { JUJU_SECRET_ID: 'secret:a', JUJU_SECRET_LABEL: 'l' }, { type: 'secretChanged', label: 'l' }],
    ['secret-rotate', { JUJU_SECRET_ID: 'secret:a' }, { type: 'secretChanged', label: '' }],
    ['pgb-peers-relation-created', relation('pgb-peers'), { type: 'peerChanged', unit: self }],
    [
      'pgb-peers-relation-joined',
      { ...relation('pgb-peers'), JUJU_REMOTE_UNIT: 'pgbouncer-k8s/1' },
      { type: 'peerJoined', unit: 'pgbouncer-k8s/1' },
    ],
    ['pgb-peers-relation-changed', relation('pgb-peers'), { type: 'peerChanged', unit: self }],
    [
      'pgb-peers-relation-departed',
      { ...relation('pgb-peers'), JUJU_REMOTE_UNIT: 'pgbouncer-k8s/1', JUJU_DEPARTING_UNIT: 'pgbouncer-k8s/1' },
      { type: 'peerDeparted', unit: 'pgbouncer-k8s/1' },
    ],
    [
      'backend-database-relation-changed',
      relation('backend-database', 3),
      { type: 'relationChanged', endpoint: 'backend-database', id: 3, name: 'app' },
    ],
    [
      'db-admin-relation-broken',
      relation('db-admin'),
      { type: 'relationBroken', endpoint: 'database', id: 7, name: 'app' },
    ],
    ['certificates-relation-created', relation('certificates'), { type: 'updateStatus' }],
    ['data-storage-attached', { JUJU_STORAGE_ID: 'data/0', JUJU_STORAGE_LOCATION: '/d' }, { type: 'updateStatus' }],
  ] as const)('%s asks the actors', (hook, variables, expected) => {
    expect(hookOf(dispatch(hook, variables), self)).toEqual(expected);
  });

  it('has relations read anew where some may have come or gone without a word', () => {
    const anew = [
      'install',
      'start',
      'upgrade-charm',
      'config-changed',
      'leader-elected',
      'update-status',
      'stop',
    ].filter((hook) => occasionOf(dispatch(hook), self).relationsAnew);
    expect(anew).toEqual(['install', 'start', 'upgrade-charm', 'config-changed', 'leader-elected']);
  });

  it('tells a unit that leaves from a relation that ends', () => {
    const departed = (who: string) => ({
      ...relation('database'),
      JUJU_REMOTE_UNIT: 'app/0',
      JUJU_DEPARTING_UNIT: who,
    });
    const seen = (hook: string, variables: Readonly<Record<string, string>>) => {
      const { departing, broken, hook: reason } = occasionOf(dispatch(hook, variables), self);
      return { departing: departing?.id ?? null, broken: broken?.id ?? null, reason };
    };
    expect(seen('database-relation-departed', departed(self))).toEqual({
      departing: 7,
      broken: null,
      reason: 'relation-departed',
    });
    expect(seen('database-relation-departed', departed('app/0'))).toMatchObject({ departing: null, broken: null });
    expect(seen('database-relation-broken', relation('database'))).toMatchObject({ departing: null, broken: 7 });
  });
});

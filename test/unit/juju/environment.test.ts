import { describe, expect, it } from 'vitest';
import { type Dispatched, dispatchedBy, NotDispatched } from '../../../src/infra/juju/environment.ts';

const always = {
  JUJU_UNIT_NAME: 'pgbouncer-k8s/10',
  JUJU_MODEL_NAME: 'prod',
  JUJU_MODEL_UUID: '2c2f6bbd-8f7c-4b51-8d0c-2f3c2d6c0a10',
  JUJU_VERSION: '3.6.9',
  JUJU_CHARM_DIR: '/var/lib/juju/agents/unit-pgbouncer-k8s-10/charm',
  JUJU_CONTEXT_ID: 'pgbouncer-k8s/10-start-8f3a',
};
const onHook = (hook: string, more: Readonly<Record<string, string>> = {}): Dispatched =>
  dispatchedBy({ ...always, JUJU_DISPATCH_PATH: `hooks/${hook}`, JUJU_HOOK_NAME: hook, ...more });
const onRelation = (hook: string, more: Readonly<Record<string, string>> = {}): Dispatched['event'] =>
  onHook(hook, { JUJU_RELATION: 'database', JUJU_RELATION_ID: 'database:7', JUJU_REMOTE_APP: 'app', ...more }).event;
const about = { relation: { endpoint: 'database', id: 7 }, remoteApplication: 'app' };

describe('what Juju dispatches', () => {
  it.each([
    ['install', 'install'],
    ['start', 'start'],
    ['config-changed', 'configChanged'],
    ['update-status', 'updateStatus'],
    ['upgrade-charm', 'upgradeCharm'],
    ['leader-elected', 'leaderElected'],
    ['leader-settings-changed', 'leaderSettingsChanged'],
    ['stop', 'stop'],
    ['remove', 'remove'],
  ])('%s', (hook, type) => {
    expect(onHook(hook).event).toEqual({ type });
  });

  it('says which unit, model, Juju and directory', () => {
    expect(onHook('start')).toEqual({
      event: { type: 'start' },
      unit: 'pgbouncer-k8s/10',
      application: 'pgbouncer-k8s',
      model: { name: 'prod', uuid: always.JUJU_MODEL_UUID },
      version: [3, 6, 9],
      charmDirectory: always.JUJU_CHARM_DIR,
      contextId: always.JUJU_CONTEXT_ID,
      kubernetes: null,
    });
  });

  it('says where the API server of the cluster is', () => {
    const kubernetes = { KUBERNETES_SERVICE_HOST: '10.152.183.1', KUBERNETES_SERVICE_PORT: '443' };
    expect(onHook('start', kubernetes).kubernetes).toEqual({ host: '10.152.183.1', port: 443 });
  });

  it.each([
    ['created', { JUJU_REMOTE_UNIT: '' }, { type: 'relationCreated', ...about }],
    ['joined', { JUJU_REMOTE_UNIT: 'app/3' }, { type: 'relationJoined', remoteUnit: 'app/3', ...about }],
    ['changed', { JUJU_REMOTE_UNIT: 'app/3' }, { type: 'relationChanged', remoteUnit: 'app/3', ...about }],
    ['changed', { JUJU_REMOTE_UNIT: '' }, { type: 'relationChanged', remoteUnit: null, ...about }],
    [
      'departed',
      { JUJU_REMOTE_UNIT: 'app/3', JUJU_DEPARTING_UNIT: 'pgbouncer-k8s/10' },
      { type: 'relationDeparted', remoteUnit: 'app/3', departingUnit: 'pgbouncer-k8s/10', ...about },
    ],
    ['broken', { JUJU_REMOTE_UNIT: '' }, { type: 'relationBroken', ...about }],
  ])('relation-%s with %j', (kind, more: Readonly<Record<string, string>>, event) => {
    expect(onRelation(`database-relation-${kind}`, more)).toEqual(event);
  });

  it.each([
    ['pgbouncer-pebble-ready', {}, { type: 'pebbleReady', container: 'pgbouncer' }],
    [
      'pgbouncer-pebble-custom-notice',
      { JUJU_NOTICE_ID: '12', JUJU_NOTICE_TYPE: 'custom', JUJU_NOTICE_KEY: 'troupe.example/died' },
      {
        type: 'pebbleCustomNotice',
        container: 'pgbouncer',
        notice: { id: '12', type: 'custom', key: 'troupe.example/died' },
      },
    ],
    [
      'pgbouncer-pebble-check-failed',
      { JUJU_PEBBLE_CHECK_NAME: 'up' },
      { type: 'pebbleCheckFailed', container: 'pgbouncer', check: 'up' },
    ],
    [
      'pgbouncer-pebble-check-recovered',
      { JUJU_PEBBLE_CHECK_NAME: 'up' },
      { type: 'pebbleCheckRecovered', container: 'pgbouncer', check: 'up' },
    ],
  ])('%s', (hook, more, event) => {
    expect(onHook(hook, { JUJU_WORKLOAD_NAME: 'pgbouncer', ...more }).event).toEqual(event);
  });

  it.each([
    ['secret-changed', {}, { type: 'secretChanged' }],
    ['secret-rotate', {}, { type: 'secretRotate' }],
    ['secret-expired', { JUJU_SECRET_REVISION: '3' }, { type: 'secretExpired', revision: 3 }],
    ['secret-remove', { JUJU_SECRET_REVISION: '12' }, { type: 'secretRemove', revision: 12 }],
  ])('%s, with a label and without one', (hook, more, event) => {
    const id = 'secret:9m4e2mr0ui3e8a215n4g';
    const secret = { JUJU_SECRET_ID: id, ...more };
    expect(onHook(hook, { ...secret, JUJU_SECRET_LABEL: 'troupe' }).event).toEqual({ ...event, id, label: 'troupe' });
    expect(onHook(hook, { ...secret, JUJU_SECRET_LABEL: '' }).event).toEqual({ ...event, id, label: null });
  });

  it.each([
    ['data-storage-attached', 'storageAttached'],
    ['data-storage-detaching', 'storageDetaching'],
  ])('%s', (hook, type) => {
    const storage = { JUJU_STORAGE_ID: 'data/0', JUJU_STORAGE_LOCATION: '/data', JUJU_STORAGE_KIND: 'filesystem' };
    expect(onHook(hook, storage).event).toEqual({ type, storage: 'data/0', location: '/data', kind: 'filesystem' });
  });

  it('knows an action by its path: the name of the hook is empty then', () => {
    const action = {
      JUJU_DISPATCH_PATH: 'actions/set-tls-private-key',
      JUJU_HOOK_NAME: '',
      JUJU_ACTION_NAME: 'set-tls-private-key',
      JUJU_ACTION_UUID: '12',
      JUJU_ACTION_TAG: 'action-12',
    };
    expect(dispatchedBy({ ...always, ...action }).event).toEqual({
      type: 'action',
      name: 'set-tls-private-key',
      id: '12',
    });
    expect(dispatchedBy({ ...always, JUJU_DISPATCH_PATH: 'actions/install', JUJU_HOOK_NAME: '' }).event.type).toBe(
      'action',
    );
  });
});

describe('what is easily misread', () => {
  it('takes the name of the hook where there is no path', () => {
    expect(dispatchedBy({ ...always, JUJU_HOOK_NAME: 'start' }).event).toEqual({ type: 'start' });
  });

  it('takes the end of a name for the kind, since endpoints and containers may be named like hooks', () => {
    const relation = { JUJU_RELATION: 'a-relation-changed', JUJU_RELATION_ID: 'a-relation-changed:10' };
    expect(onHook('a-relation-changed-relation-broken', { ...relation, JUJU_REMOTE_APP: 'app' }).event).toEqual({
      type: 'relationBroken',
      relation: { endpoint: 'a-relation-changed', id: 10 },
      remoteApplication: 'app',
    });
    expect(onHook('start-pebble-ready', { JUJU_WORKLOAD_NAME: 'start' }).event).toEqual({
      type: 'pebbleReady',
      container: 'start',
    });
  });

  it('tells the remote application from its unit when Juju does not say, and says when it cannot', () => {
    const named = { JUJU_REMOTE_APP: '', JUJU_REMOTE_UNIT: 'my-app/0' };
    expect(onRelation('database-relation-changed', named)).toMatchObject({ remoteApplication: 'my-app' });
    expect(onRelation('database-relation-created', { JUJU_REMOTE_APP: '' })).toMatchObject({ remoteApplication: null });
  });

  it.each([
    ['a hook of a later version', 'cheese-matured', {}],
    ['a suffix alone', '-pebble-ready', {}],
    ['a relation hook without its relation', 'database-relation-changed', { JUJU_RELATION_ID: '' }],
    ['a relation hook of another endpoint', 'db-relation-changed', {}],
    ['a relation whose two names differ', 'database-relation-changed', { JUJU_RELATION: 'db' }],
    ['a joined without a unit', 'database-relation-joined', { JUJU_REMOTE_UNIT: '' }],
    ['a notice without a key', 'pgbouncer-pebble-custom-notice', { JUJU_NOTICE_ID: '1' }],
    ['a notice of another container', 'x-pebble-ready', { JUJU_WORKLOAD_NAME: 'pgbouncer' }],
    ['a check without a name', 'pgbouncer-pebble-check-failed', {}],
    ['a secret without an id', 'secret-changed', {}],
    ['a revision that is none', 'secret-remove', { JUJU_SECRET_ID: 'secret:x', JUJU_SECRET_REVISION: '0' }],
    ['a storage of another name', 'data-storage-attached', { JUJU_STORAGE_ID: 'logs/0' }],
    ['a hook of machines', 'pre-series-upgrade', { JUJU_TARGET_BASE: 'ubuntu@24.04' }],
    ['a hook of old Jujus', 'collect-metrics', {}],
  ])('ignores %s', (_, hook, more: Readonly<Record<string, string>>) => {
    expect(onRelation(hook, more)).toMatchObject({ type: 'ignored', hook });
  });

  it.each([
    ['3.6.9', [3, 6, 9]],
    ['3.6-beta2', [3, 6, 0]],
    ['3.6.9.1', [3, 6, 9]],
    ['4.0.0', [4, 0, 0]],
    ['', null],
    ['next', null],
  ])('reads the version %j', (text, version) => {
    expect(onHook('start', { JUJU_VERSION: text }).version).toEqual(version);
  });

  it.each([
    [{ JUJU_UNIT_NAME: 'pgbouncer/0' }, 'JUJU_DISPATCH_PATH'],
    [{ JUJU_DISPATCH_PATH: 'hooks/start', JUJU_UNIT_NAME: '' }, 'JUJU_UNIT_NAME'],
  ])('says that it was not Juju that started it: %j', (environment, missing) => {
    expect(() => dispatchedBy(environment)).toThrow(NotDispatched);
    expect(() => dispatchedBy(environment)).toThrow(missing);
  });
});

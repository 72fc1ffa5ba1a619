import { applicationOf, type Application, type UnitName, unitNumberOf } from '../../actors/model/ids.ts';
import { type JujuVersion, parseJujuVersion } from './version.ts';

/** One relation, as hook tools name it: `database:7`. */
export interface RelationRef {
  readonly endpoint: string;
  /** Unique in the model, never used twice. */
  readonly id: number;
}

interface AboutRelation {
  readonly relation: RelationRef;
  /** Null when Juju did not say and it cannot be told from a unit: then the relation must be asked. */
  readonly remoteApplication: string | null;
}

interface AboutSecret {
  readonly id: string;
  /** Null when neither this unit nor this application has given it a label. */
  readonly label: string | null;
}

type PlainEvent =
  | 'install'
  | 'start'
  | 'configChanged'
  | 'updateStatus'
  | 'upgradeCharm'
  | 'leaderElected'
  | 'leaderSettingsChanged'
  | 'stop'
  | 'remove';
type SecretEvent = 'secretChanged' | 'secretRotate' | 'secretExpired' | 'secretRemove';

/** What Juju dispatches, one to one. */
export type JujuEvent =
  | { readonly type: PlainEvent }
  | ({ readonly type: 'relationCreated' | 'relationBroken' } & AboutRelation)
  | ({ readonly type: 'relationJoined'; readonly remoteUnit: UnitName } & AboutRelation)
  /** Without a unit, what changed is the bag of the remote application. */
  | ({ readonly type: 'relationChanged'; readonly remoteUnit: UnitName | null } & AboutRelation)
  /** The unit that leaves is the remote one, or our own when it is we who go. */
  | ({
      readonly type: 'relationDeparted';
      readonly remoteUnit: UnitName;
      readonly departingUnit: UnitName | null;
    } & AboutRelation)
  | { readonly type: 'pebbleReady'; readonly container: string }
  | {
      readonly type: 'pebbleCustomNotice';
      readonly container: string;
      readonly notice: { readonly id: string; readonly type: string; readonly key: string };
    }
  | {
      readonly type: 'pebbleCheckFailed' | 'pebbleCheckRecovered';
      readonly container: string;
      readonly check: string;
    }
  | ({ readonly type: 'secretChanged' | 'secretRotate' } & AboutSecret)
  | ({ readonly type: 'secretExpired' | 'secretRemove'; readonly revision: number } & AboutSecret)
  | {
      readonly type: 'storageAttached' | 'storageDetaching';
      readonly storage: string;
      readonly location: string;
      readonly kind: string;
    }
  | { readonly type: 'action'; readonly name: string; readonly id: string }
  /** A hook that this version does not know (a refresh to an older one delivers such), or one that lacks what it must have. */
  | { readonly type: 'ignored'; readonly hook: string; readonly why: string };

/** Everything that a dispatch is told by its environment. */
export interface Dispatched {
  readonly event: JujuEvent;
  readonly unit: UnitName;
  readonly application: Application;
  readonly model: { readonly name: string; readonly uuid: string };
  /** Null when Juju does not say, or says something that is no version. */
  readonly version: JujuVersion | null;
  readonly charmDirectory: string;
  /** Unique to this dispatch. */
  readonly contextId: string;
  /** The API server of the cluster; null outside Kubernetes. */
  readonly kubernetes: { readonly host: string; readonly port: number } | null;
}

/** The name of this unit's pod in its cluster; it keeps it when it is made anew. */
export const podNameOf = ({ application, unit, model }: Dispatched): string =>
  `${application}-${unitNumberOf(unit)}.${application}-endpoints.${model.name}.svc.cluster.local`;

/** The program was not started by a Juju agent: there is nothing to handle, and no hook tool to ask. */
export class NotDispatched extends Error {
  override readonly name = 'NotDispatched';
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** An empty value counts as absent. Throws NotDispatched when Juju's own variables are missing. */
export const dispatchedBy = (environment: Environment): Dispatched => {
  const read = reader(environment);
  const hook = read('JUJU_HOOK_NAME');
  const path = read('JUJU_DISPATCH_PATH') ?? (hook === undefined ? undefined : `hooks/${hook}`);
  const unit = read('JUJU_UNIT_NAME');
  if (path === undefined || unit === undefined)
    throw notDispatched(path === undefined ? 'JUJU_DISPATCH_PATH' : unitKey);
  const host = read('KUBERNETES_SERVICE_HOST');
  return {
    event: eventOf(path, read),
    unit: unit as UnitName,
    application: applicationOf(unit as UnitName),
    model: { name: read('JUJU_MODEL_NAME') ?? '', uuid: read('JUJU_MODEL_UUID') ?? '' },
    version: parseJujuVersion(read('JUJU_VERSION') ?? ''),
    charmDirectory: read('JUJU_CHARM_DIR') ?? read('CHARM_DIR') ?? '.',
    contextId: read('JUJU_CONTEXT_ID') ?? '',
    kubernetes: host === undefined ? null : { host, port: Number(read('KUBERNETES_SERVICE_PORT') ?? '443') },
  };
};

const unitKey = 'JUJU_UNIT_NAME';
const notDispatched = (missing: string): NotDispatched =>
  new NotDispatched(`this program is started by Juju for each hook, and ${missing} is not set: deploy it as a charm`);

type Reader = (name: string) => string | undefined;
const reader =
  (environment: Environment): Reader =>
  (name) =>
    environment[name] === '' ? undefined : environment[name];

const eventOf = (path: string, read: Reader): JujuEvent => {
  const slash = path.lastIndexOf('/');
  const name = path.slice(slash + 1);
  if (path.slice(0, slash) === 'actions') {
    return { type: 'action', name: read('JUJU_ACTION_NAME') ?? name, id: read('JUJU_ACTION_UUID') ?? '' };
  }
  const plain = plainHooks.get(name);
  if (plain !== undefined) return { type: plain };
  const secret = secretHooks.get(name);
  if (secret !== undefined) return secretEvent(secret, name, read);
  // Names of endpoints, containers and storages may hold dashes, and words of other hooks: what counts is the end.
  for (const [suffix, event] of suffixes) {
    if (name.endsWith(suffix) && name.length > suffix.length) return event(name.slice(0, -suffix.length), name, read);
  }
  return { type: 'ignored', hook: name, why: 'it is not known to this version' };
};

const plainHooks: ReadonlyMap<string, PlainEvent> = new Map([
  ['install', 'install'],
  ['start', 'start'],
  ['config-changed', 'configChanged'],
  ['update-status', 'updateStatus'],
  ['upgrade-charm', 'upgradeCharm'],
  ['leader-elected', 'leaderElected'],
  ['leader-settings-changed', 'leaderSettingsChanged'],
  ['stop', 'stop'],
  ['remove', 'remove'],
]);

const secretHooks: ReadonlyMap<string, SecretEvent> = new Map([
  ['secret-changed', 'secretChanged'],
  ['secret-rotate', 'secretRotate'],
  ['secret-expired', 'secretExpired'],
  ['secret-remove', 'secretRemove'],
]);

type Suffixed = (subject: string, hook: string, read: Reader) => JujuEvent;

const lacks = (hook: string, variable: string): JujuEvent => ({
  type: 'ignored',
  hook,
  why: `${variable} does not say what it is about`,
});

const secretEvent = (type: SecretEvent, hook: string, read: Reader): JujuEvent => {
  const id = read('JUJU_SECRET_ID');
  if (id === undefined) return lacks(hook, 'JUJU_SECRET_ID');
  const label = read('JUJU_SECRET_LABEL') ?? null;
  if (type === 'secretChanged' || type === 'secretRotate') return { type, id, label };
  const revision = Number(read('JUJU_SECRET_REVISION'));
  return Number.isSafeInteger(revision) && revision > 0
    ? { type, id, label, revision }
    : lacks(hook, 'JUJU_SECRET_REVISION');
};

const onRelation =
  (make: (about: AboutRelation, remoteUnit: UnitName | null, read: Reader) => JujuEvent | null): Suffixed =>
  (endpoint, hook, read) => {
    const [, named, id] = /^(.*):(\d+)$/.exec(read('JUJU_RELATION_ID') ?? '') ?? [];
    if (id === undefined || named !== endpoint) return lacks(hook, 'JUJU_RELATION_ID');
    if ((read('JUJU_RELATION') ?? endpoint) !== endpoint) return lacks(hook, 'JUJU_RELATION');
    const remoteUnit = (read('JUJU_REMOTE_UNIT') ?? null) as UnitName | null;
    const remoteApplication = read('JUJU_REMOTE_APP') ?? (remoteUnit === null ? null : applicationOf(remoteUnit));
    const about = { relation: { endpoint, id: Number(id) }, remoteApplication };
    return make(about, remoteUnit, read) ?? lacks(hook, 'JUJU_REMOTE_UNIT');
  };

const onContainer =
  (make: (container: string, read: Reader) => JujuEvent | null, needed: string): Suffixed =>
  (container, hook, read) => {
    if ((read('JUJU_WORKLOAD_NAME') ?? container) !== container) return lacks(hook, 'JUJU_WORKLOAD_NAME');
    return make(container, read) ?? lacks(hook, needed);
  };

const onStorage =
  (type: 'storageAttached' | 'storageDetaching'): Suffixed =>
  (name, hook, read) => {
    const storage = read('JUJU_STORAGE_ID');
    if (storage === undefined || storage.slice(0, storage.lastIndexOf('/')) !== name)
      return lacks(hook, 'JUJU_STORAGE_ID');
    return { type, storage, location: read('JUJU_STORAGE_LOCATION') ?? '', kind: read('JUJU_STORAGE_KIND') ?? '' };
  };

const onCheck = (type: 'pebbleCheckFailed' | 'pebbleCheckRecovered'): Suffixed =>
  onContainer((container, read) => {
    const check = read('JUJU_PEBBLE_CHECK_NAME');
    return check === undefined ? null : { type, container, check };
  }, 'JUJU_PEBBLE_CHECK_NAME');

const suffixes: readonly (readonly [suffix: string, event: Suffixed])[] = [
  ['-relation-created', onRelation((about) => ({ type: 'relationCreated', ...about }))],
  ['-relation-broken', onRelation((about) => ({ type: 'relationBroken', ...about }))],
  [
    '-relation-joined',
    onRelation((about, remoteUnit) => (remoteUnit === null ? null : { type: 'relationJoined', remoteUnit, ...about })),
  ],
  ['-relation-changed', onRelation((about, remoteUnit) => ({ type: 'relationChanged', remoteUnit, ...about }))],
  [
    '-relation-departed',
    onRelation((about, remoteUnit, read) => {
      const departingUnit = (read('JUJU_DEPARTING_UNIT') ?? null) as UnitName | null;
      return remoteUnit === null ? null : { type: 'relationDeparted', remoteUnit, departingUnit, ...about };
    }),
  ],
  ['-pebble-ready', onContainer((container) => ({ type: 'pebbleReady', container }), 'JUJU_WORKLOAD_NAME')],
  [
    '-pebble-custom-notice',
    onContainer((container, read) => {
      const [id, type, key] = [read('JUJU_NOTICE_ID'), read('JUJU_NOTICE_TYPE'), read('JUJU_NOTICE_KEY')];
      if (id === undefined || key === undefined) return null;
      return { type: 'pebbleCustomNotice', container, notice: { id, type: type ?? 'custom', key } };
    }, 'JUJU_NOTICE_KEY'),
  ],
  ['-pebble-check-failed', onCheck('pebbleCheckFailed')],
  ['-pebble-check-recovered', onCheck('pebbleCheckRecovered')],
  ['-storage-attached', onStorage('storageAttached')],
  ['-storage-detaching', onStorage('storageDetaching')],
];

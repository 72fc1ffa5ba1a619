/** What the agent of a unit runs next: asked anew after each hook, the highest of Juju's priorities wins. */
import { secretHook } from './secret-hooks.ts';
import {
  applicationOfUnit,
  type Hook,
  isPeer,
  ownSideOf,
  plain,
  type Relation,
  type RelationHook,
  remoteSideOf,
  seenBy,
  type Unit,
  type Values,
  type View,
} from './things.ts';
import type { World } from './world.ts';

/** Null when there is nothing to do for this unit now. Enters the relations that are new to it. */
export const nextHook = (unit: Unit, world: World): Hook | null => {
  if (unit.life === 'dead') return null;
  enterRelations(unit, world);
  // One that waits is dropped with the leadership that it was about.
  if (unit.failed?.hook.name === 'leader-elected' && unit.application.leader !== unit.name) unit.failed = null;
  const idle = unit.failed === null;
  return (
    (idle ? createdHook(unit, world) : null) ??
    leadershipHook(unit, world) ??
    (idle ? workloadHook(unit, 'whenDue') : null) ??
    (idle && unit.life === 'alive' ? secretHook(unit, world) : null) ??
    actionHook(unit) ??
    (idle ? storageHook(unit, 'whenDue') : null) ??
    unit.failed?.hook ??
    (unit.life === 'dying' ? teardownHook(unit, world) : null) ??
    lifeHook(unit) ??
    relationsHook(unit, world) ??
    updateStatusHook(unit) ??
    (idle ? workloadHook(unit, 'anyway') : null) ??
    (idle ? storageHook(unit, 'anyway') : null)
  );
};

/** Of a workload whose Pebble does not answer. */
export const notYet = Number.POSITIVE_INFINITY;

/** Hooks of workloads come anywhere after install: each hook that goes before brings them nearer. */
export const countDown = (unit: Unit): void => {
  for (const waiting of [...unit.workloads.values(), ...unit.storages.values()]) waiting.in -= 1;
};

/** The controller keeps three keys in each unit's bag. */
const networkKeys = (unit: Unit): Values => ({
  'egress-subnets': `${unit.address}/32`,
  'ingress-address': unit.address,
  'private-address': unit.address,
});

const enterRelations = (unit: Unit, world: World): void => {
  if (!unit.done.installed || unit.life !== 'alive') return;
  for (const relation of world.relations.values()) {
    const takesPart = relation.sides.some(({ application }) => application === unit.application);
    if (!takesPart || relation.dying || unit.views.has(relation.id)) continue;
    unit.views.set(relation.id, {
      created: false,
      broken: false,
      members: new Map(),
      joining: null,
      applicationVersion: 0,
      cache: new Map(),
    });
    relation.members.add(unit.name);
    writeBag(relation, unit.name, networkKeys(unit));
  }
};

/** An empty text removes its key. What does not change the bag is no change. */
export const writeBag = (relation: Relation, member: string, changes: Values): void => {
  const before = relation.bags.get(member) ?? {};
  const after = Object.fromEntries(Object.entries({ ...before, ...changes }).filter(([, value]) => value !== ''));
  if (sameValues(before, after)) return;
  relation.bags.set(member, after);
  relation.versions.set(member, (relation.versions.get(member) ?? 0) + 1);
};

export const sameValues = (a: Values, b: Values): boolean =>
  Object.keys(a).length === Object.keys(b).length && Object.entries(a).every(([key, value]) => b[key] === value);

/** In no order, as the agent goes through its relations. */
const viewsOf = (unit: Unit, world: World): readonly (readonly [Relation, View])[] =>
  world.chance
    .shuffled(unit.views, ([id]) => `${unit.name} ${id}`)
    .flatMap(([id, view]) => {
      const relation = world.relations.get(id);
      return relation === undefined ? [] : [[relation, view] as const];
    });

const createdHook = (unit: Unit, world: World): Hook | null => {
  if (unit.life !== 'alive') return null;
  for (const [relation, view] of viewsOf(unit, world)) {
    if (view.created || view.broken) continue;
    if (relation.dying) {
      leave(unit, relation, view);
      continue;
    }
    return relationHook(unit, relation, 'created', null, {}, () => {
      view.created = true;
    });
  }
  return null;
};

const leadershipHook = (unit: Unit, world: World): Hook | null => {
  if (!unit.done.installed || unit.life !== 'alive') return null;
  const leads = unit.application.leader === unit.name;
  if (leads && unit.told.leadership !== 'leader' && unit.failed?.hook.name !== 'leader-elected') {
    return plain('leader-elected', () => {
      unit.told.leadership = 'leader';
    });
  }
  if (!leads && unit.told.leadership === null && world.hasLeaderSettings) {
    return plain('leader-settings-changed', () => {
      unit.told.leadership = 'follower';
    });
  }
  // There is no hook for losing it.
  if (!leads && unit.told.leadership === 'leader') unit.told.leadership = 'follower';
  return null;
};

const workloadHook = (unit: Unit, when: 'whenDue' | 'anyway'): Hook | null => {
  if (!unit.done.installed) return null;
  for (const [container, workload] of unit.workloads) {
    if (workload.in === notYet || (when === 'whenDue' && workload.in > 0)) continue;
    return plain(
      `${container}-pebble-ready`,
      () => {
        if (unit.workloads.get(container) === workload) unit.workloads.delete(container);
      },
      { JUJU_WORKLOAD_NAME: container },
    );
  }
  const notice = unit.notices[0];
  if (notice === undefined) return null;
  return plain(`${notice.container}-pebble-${notice.kind}`, () => unit.notices.shift(), {
    JUJU_WORKLOAD_NAME: notice.container,
    ...notice.environment,
  });
};

const storageHook = (unit: Unit, when: 'whenDue' | 'anyway'): Hook | null => {
  if (!unit.done.installed || unit.life !== 'alive') return null;
  for (const [id, storage] of unit.storages) {
    if (storage.life !== 'pending' || (when === 'whenDue' && storage.in > 0)) continue;
    return aboutStorage(unit, id, 'attached', () => {
      storage.life = 'attached';
    });
  }
  return null;
};

const aboutStorage = (unit: Unit, id: string, what: 'attached' | 'detaching', done: () => void): Hook => {
  const name = id.slice(0, id.lastIndexOf('/'));
  const kind = unit.application.charm.storages.get(name) ?? 'filesystem';
  return plain(`${name}-storage-${what}`, done, {
    JUJU_STORAGE_ID: id,
    JUJU_STORAGE_KIND: kind,
    JUJU_STORAGE_LOCATION: locationOf(id),
  });
};

export const locationOf = (storage: string): string => `/var/lib/juju/storage/${storage}`;

const actionHook = (unit: Unit): Hook | null => {
  const action = unit.done.installed ? unit.actions[0] : undefined;
  if (action === undefined) return null;
  return {
    name: action.name,
    action,
    environment: {
      JUJU_ACTION_NAME: action.name,
      JUJU_ACTION_UUID: String(action.id),
      JUJU_ACTION_TAG: `action-${action.id}`,
    },
    relation: null,
    done: () => unit.actions.shift(),
  };
};

const lifeHook = (unit: Unit): Hook | null => {
  const { application, done, told } = unit;
  if (!done.installed) {
    return plain('install', () => {
      done.installed = true;
      told.revision = application.revision;
    });
  }
  if (unit.stopAsked && !isBeforeAnother(unit)) {
    return plain('stop', () => {
      unit.stopAsked = false;
      done.stopped = true;
    });
  }
  if (!unit.stopAsked && told.revision !== application.revision) {
    const { revision } = application;
    return plain('upgrade-charm', () => {
      told.revision = revision;
    });
  }
  const options = JSON.stringify([application.options, unit.address]);
  if (told.options !== options) {
    return plain('config-changed', () => {
      told.options = options;
    });
  }
  if (done.started) return null;
  return plain('start', () => {
    done.started = true;
  });
};

/** A StatefulSet renews its pods from the highest number down, each when the one before is up. */
const isBeforeAnother = (unit: Unit): boolean =>
  [...unit.application.units.values()].some(
    ({ number, life, stopAsked, done }) => number > unit.number && life === 'alive' && (stopAsked || !done.started),
  );

const updateStatusHook = (unit: Unit): Hook | null =>
  unit.updateStatus
    ? plain('update-status', () => {
        unit.updateStatus = false;
      })
    : null;

/** Relations first, then stop, storage and remove. */
const teardownHook = (unit: Unit, world: World): Hook | null => {
  for (const [relation, view] of viewsOf(unit, world)) {
    if (view.broken) continue;
    if (!view.created) {
      leave(unit, relation, view);
      continue;
    }
    const hook = hookOfRelation(unit, relation, view);
    if (hook !== null) return hook;
  }
  if (!unit.done.stopped && unit.done.installed) {
    return plain('stop', () => {
      unit.done.stopped = true;
    });
  }
  for (const [id, storage] of unit.storages) {
    if (storage.life !== 'attached') continue;
    return aboutStorage(unit, id, 'detaching', () => {
      storage.life = 'gone';
    });
  }
  return plain('remove', () => {
    unit.life = 'dead';
  });
};

const relationsHook = (unit: Unit, world: World): Hook | null => {
  if (!unit.done.started) return null;
  for (const [relation, view] of viewsOf(unit, world)) {
    const hook = view.created && !view.broken ? hookOfRelation(unit, relation, view) : null;
    if (hook !== null) return hook;
  }
  return null;
};

const hookOfRelation = (unit: Unit, relation: Relation, view: View): Hook | null => {
  const peer = isPeer(relation);
  if (view.joining !== null) return changedHook(unit, relation, view, view.joining);
  const leaving = relation.dying || unit.life === 'dying';
  const remote = remoteSideOf(relation, unit.application.name).application;
  const present = [...relation.members].filter(
    (member) => member !== unit.name && (peer || applicationOfUnit(member) === remote.name),
  );
  const remoteUnits = leaving ? [] : present.toSorted();
  const gone = [...view.members.keys()].toSorted().find((member) => !remoteUnits.includes(member));
  if (gone !== undefined) {
    const departing = unit.life === 'dying' ? unit.name : gone;
    return relationHook(unit, relation, 'departed', gone, { JUJU_DEPARTING_UNIT: departing }, () => {
      view.members.delete(gone);
      view.cache.delete(gone);
    });
  }
  if (leaving) {
    if (peer) {
      leave(unit, relation, view); // The end of a peer relation is no hook.
      return null;
    }
    return relationHook(unit, relation, 'broken', null, {}, () => leave(unit, relation, view));
  }
  const version = relation.versions.get(remote.name) ?? 0;
  if (version > view.applicationVersion) {
    return relationHook(unit, relation, 'changed', null, {}, () => {
      view.applicationVersion = version;
    });
  }
  const newcomer = remoteUnits.find((member) => !view.members.has(member));
  if (newcomer !== undefined) {
    return relationHook(unit, relation, 'joined', newcomer, {}, () => {
      view.members.set(newcomer, relation.versions.get(newcomer) ?? 0);
      view.joining = newcomer;
    });
  }
  const changed = remoteUnits.find((member) => (relation.versions.get(member) ?? 0) > (view.members.get(member) ?? 0));
  return changed === undefined ? null : changedHook(unit, relation, view, changed);
};

const changedHook = (unit: Unit, relation: Relation, view: View, member: string): Hook => {
  const version = relation.versions.get(member) ?? 0;
  return relationHook(unit, relation, 'changed', member, {}, () => {
    view.members.set(member, version);
    view.joining = null;
  });
};

const leave = (unit: Unit, relation: Relation, view: View): void => {
  view.broken = true;
  relation.members.delete(unit.name);
};

const relationHook = (
  unit: Unit,
  relation: Relation,
  kind: RelationHook,
  remoteUnit: string | null,
  environment: Values,
  done: () => void,
): Hook => {
  const self = unit.application.name;
  const { endpoint } = ownSideOf(relation, self);
  const seen = Object.fromEntries(
    Object.entries(environment).map(([key, value]) => [key, seenBy(self, relation, value)]),
  );
  return {
    name: `${endpoint}-relation-${kind}`,
    action: null,
    environment: {
      JUJU_RELATION: endpoint,
      JUJU_RELATION_ID: `${endpoint}:${relation.id}`,
      JUJU_REMOTE_APP: seenBy(self, relation, remoteSideOf(relation, self).application.name),
      JUJU_REMOTE_UNIT: remoteUnit === null ? '' : seenBy(self, relation, remoteUnit),
      ...seen,
    },
    relation: { id: relation.id, remoteUnit, kind },
    done,
  };
};

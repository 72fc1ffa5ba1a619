/** What Juju dispatches, as the actors know it: one hook, and what the backplane has to know of the occasion. */
import type { Endpoint, Hook } from '../actors/model/hook.ts';
import type { RelationId, UnitName } from '../actors/model/ids.ts';
import { confirmingAction } from '../infra/juju/backplane/kept-limit.ts';
import type { Occasion } from '../infra/juju/backplane/reading.ts';
import type { JujuEvent, RelationRef } from '../infra/juju/environment.ts';

/** Everything but actions and what this version does not know. */
export type HookEvent = Exclude<JujuEvent, { readonly type: 'action' | 'ignored' }>;

/**
 * Every dispatch looks at everything and mends what it can; the hook says what is to be looked at anew. Those that the actors have no
 * word for are as good as a look at the state of things.
 */
export const hookOf = (event: HookEvent, self: UnitName): Hook => {
  switch (event.type) {
    case 'install':
    case 'start':
    case 'upgradeCharm':
    case 'leaderElected':
    case 'updateStatus':
    case 'stop':
    case 'remove':
      return { type: event.type };
    case 'configChanged':
      return { type: 'optionsChanged' };
    case 'pebbleReady':
      return { type: 'workloadReady' };
    case 'secretChanged':
    case 'secretRotate':
    case 'secretExpired':
      return { type: 'secretChanged', label: event.label ?? '' };
    case 'relationCreated':
    case 'relationJoined':
    case 'relationChanged':
    case 'relationDeparted':
    case 'relationBroken':
      return relationHook(event, self);
    case 'leaderSettingsChanged':
    case 'pebbleCustomNotice':
    case 'pebbleCheckFailed':
    case 'pebbleCheckRecovered':
    case 'secretRemove':
    case 'storageAttached':
    case 'storageDetaching':
      return { type: 'updateStatus' };
  }
};

type RelationEvent = Extract<HookEvent, { readonly relation: RelationRef }>;

const relationHook = (event: RelationEvent, self: UnitName): Hook => {
  const { endpoint, id } = event.relation;
  if (endpoint === 'pgb-peers') return peerHook(event, self);
  const known = endpointOf(endpoint);
  return known === null
    ? { type: 'updateStatus' }
    : { type: event.type, endpoint: known, id: id as RelationId, name: event.remoteApplication ?? `relation-${id}` };
};

const peerHook = (event: RelationEvent, self: UnitName): Hook => {
  switch (event.type) {
    case 'relationJoined':
      return { type: 'peerJoined', unit: event.remoteUnit };
    case 'relationDeparted':
      return { type: 'peerDeparted', unit: event.remoteUnit };
    case 'relationChanged':
      return { type: 'peerChanged', unit: event.remoteUnit ?? self };
    case 'relationCreated':
    case 'relationBroken':
      return { type: 'peerChanged', unit: self };
  }
};

/** The legacy endpoints are clients like those of `database`. */
const endpointOf = (endpoint: string): Endpoint | null => {
  if (endpoint === 'backend-database') return endpoint;
  return ['database', 'db', 'db-admin'].includes(endpoint) ? 'database' : null;
};

const anew: ReadonlySet<string> = new Set(['install', 'start', 'upgradeCharm', 'configChanged', 'leaderElected']);

export const occasionOf = (event: JujuEvent, self: UnitName): Occasion => ({
  hook: event.type.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
  leaderElected: event.type === 'leaderElected',
  confirmsLimit: event.type === 'action' && event.name === confirmingAction,
  relationsAnew: anew.has(event.type),
  about: 'relation' in event && event.type !== 'relationBroken' ? event : null,
  broken: event.type === 'relationBroken' ? event.relation : null,
  departing: event.type === 'relationDeparted' && event.departingUnit === self ? event.relation : null,
});

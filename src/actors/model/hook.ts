import type { RelationId, UnitName } from './ids.ts';

/** What the platform or the operator asks. Juju dispatches these; standalone they are made from changes of the backplane. */
export type Hook =
  | { readonly type: 'install' }
  | { readonly type: 'start' }
  | { readonly type: 'upgradeCharm' }
  | { readonly type: 'workloadReady' }
  | { readonly type: 'optionsChanged' }
  | { readonly type: 'leaderElected' }
  | { readonly type: 'leaderLost' }
  | { readonly type: 'peerJoined'; readonly unit: UnitName }
  | { readonly type: 'peerChanged'; readonly unit: UnitName }
  | { readonly type: 'peerDeparted'; readonly unit: UnitName }
  | { readonly type: 'relationCreated'; readonly endpoint: Endpoint; readonly id: RelationId; readonly name: string }
  | { readonly type: 'relationJoined'; readonly endpoint: Endpoint; readonly id: RelationId; readonly name: string }
  | { readonly type: 'relationChanged'; readonly endpoint: Endpoint; readonly id: RelationId; readonly name: string }
  | { readonly type: 'relationDeparted'; readonly endpoint: Endpoint; readonly id: RelationId; readonly name: string }
  | { readonly type: 'relationBroken'; readonly endpoint: Endpoint; readonly id: RelationId; readonly name: string }
  | { readonly type: 'updateStatus' }
  | { readonly type: 'secretChanged'; readonly label: string }
  | { readonly type: 'action'; readonly name: string; readonly parameters: Readonly<Record<string, string>> }
  /** Hand over, drain, stop the instances: the unit is down. */
  | { readonly type: 'stop' }
  /** The same, for whoever will not wait any longer: those who are left are cut. */
  | { readonly type: 'stopNow' }
  /** The coordinator ends and the instances stay: a restart or an upgrade of Troupe itself. */
  | { readonly type: 'handOver' }
  | { readonly type: 'remove' };

/** The endpoints as the charm names them: towards PostgreSQL, and towards clients. */
export type Endpoint = 'backend-database' | 'database';

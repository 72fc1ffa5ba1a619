/** What the controller keeps about a model. Everything here is stored: what a hook only staged is in its context. */
import type { Charm, OptionValue } from './charm.ts';

export type Values = Readonly<Record<string, string>>;

export interface Application {
  readonly name: string;
  charm: Charm;
  /** Counts refreshes. */
  revision: number;
  options: Readonly<Record<string, OptionValue>>;
  leader: string | null;
  dying: boolean;
  version: string;
  status: Status | null;
  /** Of `leader-set`. */
  leaderSettings: Values;
  readonly units: Map<string, Unit>;
}

export interface Status {
  readonly word: string;
  readonly message: string;
}

export interface Unit {
  readonly name: string;
  readonly number: number;
  readonly application: Application;
  /** Of its pod: another one when the pod is made anew. */
  address: string;
  /** What the agent unpacked: its own, gone with the pod. */
  charmDirectory: string;
  /** The charm that lies there: until its pod is made anew, the one from before a refresh. */
  charm: Charm;
  life: 'alive' | 'dying' | 'dead';
  status: Status;
  state: Values;
  readonly ports: Set<string>;
  readonly views: Map<number, View>;
  readonly done: { installed: boolean; started: boolean; stopped: boolean };
  /** Of the charm and of the options (with addresses) that it was last told about. */
  told: { revision: number | null; options: string | null; leadership: 'leader' | 'follower' | null };
  /** Containers that it was not told about; `in`: hooks to go before that, without end while their Pebble does not answer. */
  readonly workloads: Map<string, { in: number }>;
  readonly notices: Notice[];
  /** By id, `data/0`. `in`: hooks to go before it is told. */
  readonly storages: Map<string, { life: 'pending' | 'attached' | 'gone'; in: number }>;
  readonly actions: PendingAction[];
  /** Asked for by the timer. */
  updateStatus: boolean;
  stopAsked: boolean;
  /** Failed, and to be tried again before what comes behind it. */
  failed: FailedHook | null;
}

export interface FailedHook {
  readonly hook: Hook;
  attempts: number;
}

export interface Notice {
  readonly container: string;
  readonly kind: 'custom-notice' | 'check-failed' | 'check-recovered';
  readonly environment: Values;
}

export interface PendingAction {
  readonly id: number;
  readonly name: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly finished: (outcome: ActionOutcome) => void;
}

export interface ActionOutcome {
  readonly status: 'completed' | 'failed';
  readonly message: string;
  readonly results: Readonly<Record<string, unknown>>;
}

export interface Relation {
  readonly id: number;
  /** One for a peer relation. */
  readonly sides: readonly Side[];
  dying: boolean;
  /** Units that entered and did not leave. */
  readonly members: Set<string>;
  /** By unit or application. Those of units that left are still there. */
  readonly bags: Map<string, Values>;
  /** Counts changes of each bag. */
  readonly versions: Map<string, number>;
  /** Of one that is in another model: the side that offers knows it by this name. */
  readonly abroad: { readonly application: string; readonly alias: string; readonly model: string } | null;
}
export interface Side {
  readonly application: Application;
  readonly endpoint: string;
}

/** A relation as one unit has been told about it. */
export interface View {
  created: boolean;
  broken: boolean;
  /** Remote units that joined, with the version of their bag when it was last told. */
  readonly members: Map<string, number>;
  /** Joined, and its changed comes next. */
  joining: string | null;
  applicationVersion: number;
  /** Remote unit bags as of the last changed. */
  readonly cache: Map<string, Values>;
}

export interface SecretThing {
  readonly xid: string;
  readonly owner: { readonly kind: 'application' | 'unit' | 'user'; readonly name: string };
  label: string;
  description: string;
  readonly revisions: Map<number, Values>;
  latest: number;
  /** Null: never. `told`: how often time had gone on when its owner was told last. */
  rotation: { readonly periodMs: number; dueAt: number; told: number } | null;
  expiry: { readonly at: number; told: number } | null;
  /** Obsolete revisions that the owner was told about. */
  readonly toldObsolete: Set<number>;
  /** Application or remote unit, by the relation through which it may read; a user's secret is granted without one. */
  grants: readonly { readonly to: string; readonly relation: number | null }[];
  readonly consumers: Map<string, Consumer>;
}
export interface Consumer {
  label: string;
  tracked: number;
  /** The newest revision that it was told about. */
  told: number;
}

/** A hook or action that is about to run. */
export interface Hook {
  /** As in `JUJU_HOOK_NAME`; of an action, its name. */
  readonly name: string;
  readonly action: PendingAction | null;
  readonly environment: Values;
  readonly relation: { readonly id: number; readonly remoteUnit: string | null; readonly kind: RelationHook } | null;
  /** What the agent keeps once the hook has succeeded. */
  readonly done: () => void;
}
/** One that is about nothing but what its name says. */
export const plain = (name: string, done: () => void, environment: Values = {}): Hook => ({
  name,
  action: null,
  environment,
  relation: null,
  done,
});

export type RelationHook = 'created' | 'joined' | 'changed' | 'departed' | 'broken';

export const remoteSideOf = (relation: Relation, application: string): Side => {
  const [first, second] = relation.sides;
  if (first === undefined) throw new Error(`relation ${relation.id} has no sides`);
  return second === undefined || second.application.name === application ? first : second;
};
export const ownSideOf = (relation: Relation, application: string): Side => {
  const [first, second] = relation.sides;
  if (first === undefined) throw new Error(`relation ${relation.id} has no sides`);
  return second !== undefined && second.application.name === application ? second : first;
};
export const isPeer = (relation: Relation): boolean => relation.sides.length === 1;
export const applicationOfUnit = (unit: string): string => unit.slice(0, unit.lastIndexOf('/'));

/** A unit or an application as the other one is told of it. */
export const seenBy = (viewer: string, { abroad }: Relation, name: string): string => {
  if (abroad === null || viewer === abroad.application) return name;
  const [application = '', number] = name.split('/');
  if (application !== abroad.application) return name;
  return number === undefined ? abroad.alias : `${abroad.alias}/${number}`;
};
/** Back from what `seenBy` told. */
export const meantBy = (viewer: string, { abroad }: Relation, name: string): string => {
  if (abroad === null || viewer === abroad.application) return name;
  const [application = '', number] = name.split('/');
  if (application === abroad.application) return `unknown-${name}`; // Its own name means nobody on this side.
  if (application !== abroad.alias) return name;
  return number === undefined ? abroad.application : `${abroad.application}/${number}`;
};

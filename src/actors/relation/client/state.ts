import type {
  BackendAccess,
  BackendServer,
  Finding,
  PostgresStep,
  Provision,
  TaggedLogin,
} from '../../model/backend.ts';
import type { Published } from '../../model/fleet-spec.ts';
import type { Application, Epoch, RelationId } from '../../model/ids.ts';
import type { Intent } from '../../model/intent.ts';
import { type Known, unknown } from '../../model/known.ts';
import type { Leadership } from '../../model/leadership.ts';
import type { Secret } from '../../model/secret.ts';
import type { Inheritance, RelationRecord, UnitRecord } from '../../model/snapshot.ts';
import type { Wait } from '../../model/waits.ts';
import type { BackendsTold, ServedClient } from '../../protocol.ts';
import type { SharedEndpoints } from './databag.ts';
import type { Progress } from './next-step.ts';

export interface ClientSettings {
  readonly application: Application;
  /** Credentials are published without units that have not acknowledged by then. */
  readonly laggardMs: number;
  readonly endpoints: SharedEndpoints | null;
  /** How often the leader compares what relations were given with what is there. */
  readonly auditMs: number;
}

export type ClientEffect =
  | { readonly type: 'mint'; readonly id: RelationId; readonly username: string; readonly lookup?: true }
  | { readonly type: 'keep'; readonly id: RelationId; readonly username: string; readonly password: Secret }
  | { readonly type: 'writeRecord'; readonly leadership: Leadership; readonly record: RelationRecord }
  | { readonly type: 'removeRecord'; readonly leadership: Leadership; readonly id: RelationId }
  | {
      readonly type: 'postgres';
      readonly leadership: Leadership;
      readonly access: BackendAccess;
      readonly primary: BackendServer;
      readonly relation: RelationId | null;
      readonly step: PostgresStep;
    }
  | {
      readonly type: 'audit';
      readonly leadership: Leadership;
      readonly access: BackendAccess;
      readonly primary: BackendServer;
      readonly provisions: readonly Provision[];
    };

/** What this process did for a backend under its present leadership. */
export interface BackendWork {
  readonly fencedUnder: Epoch | null;
  readonly busy: boolean;
  readonly auditAt: number;
  readonly orphans: readonly TaggedLogin[];
  /** What the last audit found otherwise than it was left. */
  readonly findings: readonly Finding[];
  readonly trouble: Trouble | null;
}
export interface Trouble {
  /** `unkept`: the backplane did not take what we wrote about it. */
  readonly kind: 'waiting' | 'blocked' | 'unkept';
  readonly reason: string;
  readonly attempt: number;
  readonly retryAt: number;
}
export interface Work extends Progress {
  readonly busy: boolean;
  readonly trouble: Trouble | null;
  /** A defect in deciding about this relation; it is left alone until this process ends. */
  readonly quarantine: { readonly incident: string; readonly defect: string } | null;
}

export interface ClientState {
  /** Monotonic since of waits that an earlier life had, by id. */
  readonly recalledSince: ReadonlyMap<string, number>;
  readonly intent: Known<Intent | null>;
  readonly records: ReadonlyMap<RelationId, RelationRecord>;
  /** Why a record cannot be read: nothing is decided about its relation. */
  readonly damaged: ReadonlyMap<RelationId, string>;
  /** What clients without a record were given before we served them. */
  readonly inherited: ReadonlyMap<RelationId, Inheritance>;
  readonly leadership: Leadership | null;
  readonly facts: BackendsTold['facts'];
  readonly factsUnder: BackendsTold['under'];
  readonly published: Published | null;
  readonly units: readonly UnitRecord[];
  readonly work: ReadonlyMap<RelationId, Work>;
  readonly backends: ReadonlyMap<string, BackendWork>;
  readonly told: readonly ServedClient[] | null;
  readonly waits: readonly Wait[];
}
export const initial: ClientState = {
  recalledSince: new Map(),
  intent: unknown,
  records: new Map(),
  damaged: new Map(),
  inherited: new Map(),
  leadership: null,
  facts: new Map(),
  factsUnder: null,
  published: null,
  units: [],
  work: new Map(),
  backends: new Map(),
  told: null,
  waits: [],
};
export const noWork: Work = {
  account: null,
  databaseReady: false,
  loginReady: false,
  loginDropped: false,
  lookup: null,
  lookupReady: false,
  lookupDropped: false,
  lateSince: null,
  busy: false,
  trouble: null,
  quarantine: null,
};
export const noBackendWork: BackendWork = {
  fencedUnder: null,
  busy: false,
  auditAt: 0,
  orphans: [],
  findings: [],
  trouble: null,
};

export const setWork = (state: ClientState, id: RelationId, change: Partial<Work>): ClientState => ({
  ...state,
  work: new Map(state.work).set(id, { ...(state.work.get(id) ?? noWork), ...change }),
});
export const setBackend = (state: ClientState, name: string, change: Partial<BackendWork>): ClientState => ({
  ...state,
  backends: new Map(state.backends).set(name, { ...(state.backends.get(name) ?? noBackendWork), ...change }),
});

/** Whatever the cause was, its end is noticed soon. */
const longestBackOffMs = 3_000;
export const troubleAfter = (before: Trouble | null, kind: Trouble['kind'], reason: string, now: number): Trouble => {
  const attempt = (before?.attempt ?? 0) + 1;
  return { kind, reason, attempt, retryAt: now + Math.min(500 * 2 ** (attempt - 1), longestBackOffMs) };
};
export const troubled = (
  state: ClientState,
  id: RelationId,
  kind: Trouble['kind'],
  reason: string,
  now: number,
): ClientState =>
  setWork(state, id, { busy: false, trouble: troubleAfter(state.work.get(id)?.trouble ?? null, kind, reason, now) });

/** What ended the causes may be the very thing that is told: everything is tried and looked at again. */
export const withoutBackOff = (state: ClientState, now: number): ClientState => ({
  ...state,
  work: new Map([...state.work].map(([id, work]) => [id, { ...work, trouble: atOnce(work.trouble, now) }])),
  backends: new Map(
    [...state.backends].map(([name, work]) => [name, { ...work, trouble: atOnce(work.trouble, now), auditAt: now }]),
  ),
});

const atOnce = (trouble: Trouble | null, now: number): Trouble | null =>
  trouble === null ? null : { ...trouble, retryAt: now };

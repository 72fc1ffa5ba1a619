import type { Audit, BackendAccess, BackendFacts, PostgresOutcome, PostgresStep } from './model/backend.ts';
import type { Change } from './model/change.ts';
import type { Published, Verdict } from './model/fleet-spec.ts';
import type { Hook } from './model/hook.ts';
import type { Epoch, Generation, RelationId, UnitName, WallMs } from './model/ids.ts';
import type { Intent } from './model/intent.ts';
import type { Leadership } from './model/leadership.ts';
import type {
  Account,
  BudgetReport,
  InstanceReport,
  Memory,
  RelationRecord,
  Snapshot,
  UnitBag,
  UnitRecord,
} from './model/snapshot.ts';
import type { Finding, Remark } from './model/remark.ts';
import type { Lack, StatusWord, Wait } from './model/waits.ts';
import type { ConnectedClient, Inspection, Step, StepOutcome } from './model/workload.ts';

/** Actor name → the messages it understands: the only place actors know each other from. Facts are told in the past tense. */
export interface Protocol {
  unit: UnitMessage;
  leader: LeaderMessage;
  config: ConfigMessage;
  workload: WorkloadMessage;
  peers: PeersMessage;
  backend: BackendMessage;
  client: ClientMessage;
}

/** The backplane as just read; told by `unit` to everybody. */
export type Observed = { readonly type: 'observed'; readonly snapshot: Snapshot };
/** Time passed; `wall` for what outlives the process. */
export type Ticked = { readonly type: 'ticked'; readonly wall: WallMs };
/** The platform or the operator asks; told by `unit` to those it concerns. */
export type Hooked = { readonly type: 'hooked'; readonly hook: Hook };
/** Told by `leader`: who we are under, or null when this unit does not lead. Before the first one it is unknown. */
export type LeadershipTold = { readonly type: 'leadershipTold'; readonly leadership: Leadership | null };

/** Known facts about each backend by name; a backend not looked at yet is absent. Told by `backend` to config, client, peers and unit. */
export type BackendsTold = {
  readonly type: 'backendsTold';
  readonly facts: ReadonlyMap<string, BackendFacts>;
  /** The leadership since whose beginning each was looked at: a leader acts on nothing older. Null: this unit does not lead. */
  readonly under: Epoch | null;
};
/** Told by `config`: the newest generation and the verdict, or null when nothing was ever published. */
export type GenerationTold = {
  readonly type: 'generationTold';
  readonly published: Published | null;
  readonly verdict: Verdict;
};
/** Told by `peers`: the roster with everybody's acknowledgements, as last seen. */
export type RosterTold = { readonly type: 'rosterTold'; readonly units: readonly UnitRecord[] };

/** `how` in words: `was ended by SIGKILL`. */
export type InstanceExited = { readonly type: 'instanceExited'; readonly instance: number; readonly how: string };

export type UnitMessage =
  | Ticked
  | { readonly type: 'hookArrived'; readonly hook: Hook }
  | { readonly type: 'hinted' }
  | InstanceExited
  | { readonly type: 'snapshotRead'; readonly snapshot: Snapshot }
  | { readonly type: 'snapshotRefused'; readonly reason: string }
  | { readonly type: 'snapshotUnavailable'; readonly reason: string }
  | LeadershipTold
  | BackendsTold
  /** What an actor lacks; the whole list each time. */
  | { readonly type: 'waitsTold'; readonly from: keyof Protocol; readonly waits: readonly Wait[] }
  /** Files that the API of this unit cannot use as they are now, all of them. */
  | { readonly type: 'apiTold'; readonly troubles: readonly ApiTrouble[] }
  /** What the platform lacks, and what it has to say, that no actor knows of; the whole lists each time. */
  | { readonly type: 'platformTold'; readonly lacks: readonly Lack[]; readonly remarks: readonly Finding[] }
  | WorkloadTold
  /** From the state directory, at the start. */
  | {
      readonly type: 'recalled';
      readonly memory: Memory;
      /** What there was and could not be read, a sentence for each. */
      readonly losses: readonly string[];
      readonly wall: WallMs;
    }
  | { readonly type: 'remembered'; readonly kept: boolean }
  | { readonly type: 'left' };

/** What the instances of this unit do and serve; told by `workload` to unit, peers and backend. */
export type WorkloadTold = { readonly type: 'workloadTold'; readonly report: WorkloadReport };
export interface WorkloadReport {
  /** PgBouncer can be run here. */
  readonly available: boolean;
  readonly address: string;
  /** The generation that every instance was verified to serve, to be kept for the next start. */
  readonly verified: Published | null;
  readonly refused: { readonly generation: Generation; readonly reason: string } | null;
  readonly instances: readonly InstanceReport[];
  /** Of every database that has one. */
  readonly budget: readonly BudgetReport[];
  /** As it was verified last. */
  readonly tls: UnitBag['tls'];
  /** What a person should know though it serves. */
  readonly remarks: readonly Remark[];
  /** A plan is under way. */
  readonly changing: boolean;
  /** How far this unit has gone; null while it stays. */
  readonly leaving: {
    readonly phase: 'delay' | 'draining' | 'stopped';
    /** When the phase ends at the latest, monotonic. */
    readonly until: number;
    /** Connections that are left, or that were cut in the end: how many by `database/user`. Null before they were counted. */
    readonly clients: Readonly<Record<string, number>> | null;
  } | null;
}

export type LeaderMessage =
  | Observed
  | Ticked
  | Hooked
  | {
      readonly type: 'acquireAnswered';
      readonly askedAt: number;
      readonly result:
        | { readonly kind: 'granted'; readonly epoch: Epoch }
        | { readonly kind: 'held'; readonly by: UnitName; readonly freeInMs: number };
    }
  | {
      readonly type: 'renewAnswered';
      readonly askedAt: number;
      readonly result: { readonly kind: 'renewed' } | { readonly kind: 'lost' };
    }
  | { readonly type: 'leaseUnavailable'; readonly askedAt: number }
  | { readonly type: 'released' };

/** What an actor learns about a write of its own: the port's answer, or none. */
export type WriteOutcome = 'committed' | 'staged' | 'fenced' | 'conflict' | 'unavailable';

/** What an earlier life of this unit knew; told by the program, once, before anything else. */
export interface Recalled {
  readonly type: 'recalled';
  readonly memory: Memory;
  /** The newest generation that it had heard of. */
  readonly published: Published | null;
  readonly wall: WallMs;
}

export type ConfigMessage =
  | Recalled
  | Observed
  | Ticked
  | Hooked
  | LeadershipTold
  | BackendsTold
  | RosterTold
  | { readonly type: 'clientsTold'; readonly clients: readonly ServedClient[] }
  | {
      readonly type: 'changeAsked';
      readonly request: string;
      readonly change: Change;
      /** Intent version the operator looked at; null when the change does not depend on one. */
      readonly expected: number | null;
      /** Nothing is to be changed: only what would be is asked. */
      readonly dryRun?: boolean;
      readonly author: string;
      readonly reason: string;
      readonly wall: WallMs;
    }
  | { readonly type: 'intentAnswered'; readonly intent: Intent; readonly outcome: WriteOutcome }
  | { readonly type: 'publishAnswered'; readonly outcome: WriteOutcome; readonly published: Published | null }
  | { readonly type: 'judgeAnswered'; readonly verdict: Verdict; readonly outcome: WriteOutcome };

/** A client relation as the fleet must serve it; told by `client`, always all of them at once. */
export interface ServedClient {
  readonly id: RelationId;
  readonly name: string;
  readonly database: string;
  readonly backend: string;
  readonly account: Pick<Account, 'username' | 'verifier'>;
  /** By which logins are looked up that it makes by itself; absent: it makes none, or they cannot be looked up yet. */
  readonly lookup?: Pick<Account, 'username' | 'password'>;
}

export type WorkloadMessage =
  | Ticked
  | Hooked
  | GenerationTold
  /** From this unit's own state directory: what it verified last, to be served before anybody is heard. */
  | { readonly type: 'recalled'; readonly verified: Published | null; readonly published: Published | null }
  | InstanceExited
  /** `clients`: null when nobody asked. */
  | {
      readonly type: 'inspected';
      readonly inspection: Inspection;
      readonly clients: readonly ConnectedClient[] | null;
    }
  | { readonly type: 'stepTaken'; readonly step: Step['type']; readonly outcome: StepOutcome }
  | { readonly type: 'workloadUnavailable'; readonly reason: string; readonly comesByItself: boolean };

export type PeersMessage =
  | Observed
  | Ticked
  | LeadershipTold
  | WorkloadTold
  | BackendsTold
  /** The unit's status line and waits for the databag. */
  | { readonly type: 'statusTold'; readonly status: UnitRecordStatus }
  | { readonly type: 'bagAnswered'; readonly outcome: WriteOutcome }
  | { readonly type: 'removeAnswered'; readonly unit: UnitName; readonly outcome: WriteOutcome };

export interface ApiTrouble {
  readonly file: 'tokens' | 'certificate';
  readonly reason: string;
}

export interface UnitRecordStatus {
  readonly word: StatusWord;
  readonly message: string;
  readonly waits: readonly Wait[];
  /** Everything that is worth knowing though it serves: what the workload found, and what else this unit did. */
  readonly remarks: readonly Remark[];
}

export type BackendMessage =
  | Observed
  | Ticked
  | Hooked
  | LeadershipTold
  | WorkloadTold
  | {
      readonly type: 'backendInspected';
      readonly name: string;
      readonly access: BackendAccess;
      readonly facts: BackendFacts;
    };

export type ClientMessage =
  | Recalled
  | Observed
  | Ticked
  | Hooked
  | LeadershipTold
  | BackendsTold
  | GenerationTold
  | RosterTold
  | {
      readonly type: 'minted';
      readonly id: RelationId;
      readonly account: Account;
      /** For the login that looks up others. */
      readonly lookup?: true;
    }
  | { readonly type: 'recordAnswered'; readonly record: RelationRecord; readonly outcome: WriteOutcome }
  | { readonly type: 'recordRemoved'; readonly id: RelationId; readonly outcome: WriteOutcome }
  | {
      readonly type: 'postgresAnswered';
      readonly backend: string;
      readonly relation: RelationId | null;
      readonly step: PostgresStep['type'];
      readonly epoch: Epoch;
      readonly outcome: PostgresOutcome | { readonly kind: 'unavailable'; readonly reason: string };
    }
  /** Null: there was no answer. */
  | { readonly type: 'audited'; readonly backend: string; readonly epoch: Epoch; readonly audit: Audit | null };

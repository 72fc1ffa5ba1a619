import type { Change, ChangeOutcome, Compared } from '../model/change.ts';
import type { FleetSpec, Published, Verdict } from '../model/fleet-spec.ts';
import type { Generation, UnitName, WallMs } from '../model/ids.ts';
import type { Intent } from '../model/intent.ts';
import { type Known, unknown } from '../model/known.ts';
import type { Leadership } from '../model/leadership.ts';
import type { RelationRecord, UnitRecord } from '../model/snapshot.ts';
import type { Wait } from '../model/waits.ts';
import type { BackendsTold, ServedClient, WriteOutcome } from '../protocol.ts';
import type { Composed } from './compose.ts';

export interface ConfigSettings {
  readonly self: UnitName;
  /** Whoever asked for a change is answered within this time. */
  readonly answerMs: number;
  /** How long a generation may take to have shares of the budget given back before what is free goes to those who wait for theirs. */
  readonly shrinkMs: number;
  /** How long a unit that the roster lacks is taken for one that comes back to it; 0 where the roster is never lost. */
  readonly rejoinMs: number;
}

export type ConfigEffect =
  | { readonly type: 'changeIntent'; readonly intent: Intent }
  | {
      readonly type: 'publish';
      readonly leadership: Leadership;
      readonly after: Generation;
      readonly spec: FleetSpec;
      readonly intentVersion: number;
      readonly reason: string;
    }
  | { readonly type: 'judge'; readonly leadership: Leadership; readonly verdict: Verdict }
  | { readonly type: 'answer'; readonly request: string; readonly outcome: ChangeOutcome | Compared };

/** A change somebody waits for, as data: it is tried from the facts of the moment until it is answered. */
export interface Asked {
  readonly request: string;
  readonly change: Change;
  readonly expected: number | null;
  /** Nothing is to be changed: only what would be is asked. */
  readonly dryRun?: boolean;
  readonly author: string;
  readonly reason: string;
  readonly wall: WallMs;
  readonly deadline: number;
}

export interface ConfigState {
  readonly intent: Known<Intent | null>;
  /** Those that this unit saw before, the newest last: what somebody looked at who asks for a change now. */
  readonly earlier: readonly Intent[];
  readonly published: Known<Published | null>;
  /** When it was published, as far as an earlier life heard, or else when it was first seen here. */
  readonly publishedAt: number;
  readonly recalled: { readonly generation: number; readonly publishedAt: number } | null;
  readonly verdict: Verdict;
  readonly records: readonly RelationRecord[];
  readonly units: Known<readonly UnitRecord[]>;
  /** Units that the newest generation counts on and the roster lacks, and since when. */
  readonly missing: ReadonlyMap<UnitName, number>;
  /** Of backends, as told; for whom see `under`. */
  readonly facts: Known<Omit<BackendsTold, 'type'>>;
  readonly clients: Known<readonly ServedClient[]>;
  readonly leadership: Leadership | null;
  readonly asked: readonly Asked[];
  /** The first of `asked` is being written as this intent. */
  readonly writing: Intent | null;
  /** The store's intent may be newer than what we know. */
  readonly intentStale: boolean;
  readonly publishing: boolean;
  readonly judging: boolean;
  readonly retryAt: number;
  readonly composed: Composed | null;
  readonly told: { readonly published: Published | null; readonly verdict: Verdict } | null;
  readonly waits: readonly Wait[];
}
export const initial: ConfigState = {
  intent: unknown,
  earlier: [],
  published: unknown,
  publishedAt: 0,
  recalled: null,
  verdict: { covers: 0, good: null, refused: null },
  records: [],
  units: unknown,
  missing: new Map(),
  facts: unknown,
  clients: unknown,
  leadership: null,
  asked: [],
  writing: null,
  intentStale: false,
  publishing: false,
  judging: false,
  retryAt: 0,
  composed: null,
  told: null,
  waits: [],
};

/** After a write without a good end: when the facts are looked at again. */
export const retryMs = 500;

export const isKept = (outcome: WriteOutcome): boolean => outcome === 'committed' || outcome === 'staged';

/** Facts of backends that this leader may act on; null while there are none. */
export const factsFor = ({ facts, leadership }: ConfigState): BackendsTold['facts'] | null =>
  facts.known && leadership !== null && facts.value.under === leadership.epoch ? facts.value.facts : null;

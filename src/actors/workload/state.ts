import { descriptorsNeeded } from '../../pgbouncer/descriptors.ts';
import type { Unwritable } from '../../pgbouncer/dialect.ts';
import type { Decision } from '../kit/behaviour.ts';
import type { Published } from '../model/fleet-spec.ts';
import type { Generation, UnitName } from '../model/ids.ts';
import { type Known, unknown } from '../model/known.ts';
import type { Wait } from '../model/waits.ts';
import type {
  ConnectedClient,
  Inspection,
  Layout,
  Obstacle,
  PgBouncerVersion,
  Rendered,
  Step,
  TlsFiles,
} from '../model/workload.ts';
import type { WorkloadReport } from '../protocol.ts';
import type { Excess } from './budget.ts';

export interface WorkloadSettings {
  readonly self: UnitName;
  /** Host that clients are told; null: the address the instances listen on. */
  readonly advertise: string | null;
  readonly inspectMs: number;
  /** Between turning readiness off and the start of the drain, so that load balancers notice. */
  readonly drainDelayMs: number;
  /** How long clients may take to leave before they are cut. */
  readonly drainDeadlineMs: number;
  /** Instances are looked at and left as they are. */
  readonly observeOnly: boolean;
}

export type WorkloadEffect =
  /** `clients`: also who is connected. */
  { readonly type: 'inspect'; readonly clients: boolean } | { readonly type: 'take'; readonly step: Step };

export interface Leaving {
  readonly since: number;
  readonly phase: 'delay' | 'draining' | 'stopped';
  /** Whoever has to wait was told not to: those who are left are cut at once. */
  readonly hurried: boolean;
  /** Who is still connected, as counted last. */
  readonly clients: readonly ConnectedClient[] | null;
  /** Who was still connected when the instances were stopped. */
  readonly cut: readonly ConnectedClient[];
}

/** An instance that ended by itself. */
export interface Fall {
  readonly instance: number;
  /** When it was started again. */
  readonly at: number;
}

/** What this unit put right by itself. */
export interface Repair {
  readonly id: 'repaired' | 'replaced';
  /** A sentence. */
  readonly what: string;
  readonly at: number;
  /** So often within the time that it is told. */
  readonly times: number;
}

export interface WorkloadState {
  readonly wanted: Published | null;
  /** Heard from `config` at least once; until then the generation of our own memory is what we know. */
  readonly heard: boolean;
  readonly recalled: Known<Published | null>;
  /** The newest generation that this unit had heard of in its earlier life. */
  readonly lastHeard: Published | null;
  readonly verified: Published | null;
  readonly refused: { readonly generation: Generation; readonly reason: string } | null;
  readonly inspection: Known<Inspection>;
  readonly inspectedAt: number;
  /** The inspection no longer says how things are. */
  readonly outdated: boolean;
  readonly busy: 'no' | 'inspecting' | Step['type'];
  readonly plan: {
    readonly target: Published;
    readonly steps: readonly Step[];
    /** What it puts right that nobody asked for. */
    readonly amends: readonly Repair[];
    /** Who ended by itself and is started again. */
    readonly fallen: readonly number[];
  } | null;
  /** What was rendered last, and from what: an inspection comes every second, and rarely changes anything of it. */
  readonly rendering: {
    readonly target: Published;
    readonly layout: Layout;
    readonly version: PgBouncerVersion;
    readonly rendered: Rendered | Unwritable;
  } | null;
  /** Nothing was to be done about this inspection on the way to this generation. */
  readonly settledOn: { readonly inspection: Inspection; readonly target: Published } | null;
  /** Pools above their limit that were told to get back to it. */
  readonly renewed: readonly Excess[];
  readonly trouble: {
    readonly reason: string;
    readonly obstacle: Obstacle | null;
    readonly attempt: number;
    readonly retryAt: number;
  } | null;
  /** As we wrote or verified them last, and the descriptors that each instance may need; null when it is not known what lies there. */
  readonly files: { readonly rendered: Rendered; readonly needed: ReadonlyMap<number, number> } | null;
  /** With what the instances were verified to serve clients that ask for TLS; null: without, or not verified yet. */
  readonly served: TlsFiles | null;
  readonly falls: readonly Fall[];
  /** How each instance ended last, in words. */
  readonly endings: ReadonlyMap<number, string>;
  readonly repairs: readonly Repair[];
  /** Why the workload cannot be reached. */
  readonly unavailable: { readonly reason: string; readonly comesByItself: boolean } | null;
  readonly leaving: Leaving | null;
  readonly report: WorkloadReport | null;
  readonly waits: readonly Wait[];
}
export type Decided = Decision<WorkloadState, WorkloadEffect>;

export const initial: WorkloadState = {
  wanted: null,
  heard: false,
  recalled: unknown,
  lastHeard: null,
  verified: null,
  refused: null,
  inspection: unknown,
  inspectedAt: Number.NEGATIVE_INFINITY,
  outdated: true,
  busy: 'no',
  plan: null,
  rendering: null,
  settledOn: null,
  renewed: [],
  trouble: null,
  files: null,
  served: null,
  falls: [],
  endings: new Map(),
  repairs: [],
  unavailable: null,
  leaving: null,
  report: null,
  waits: [],
};

export const inspect = (state: WorkloadState): Decided => ({
  state: { ...state, busy: 'inspecting' },
  effects: [{ type: 'inspect', clients: state.leaving !== null }],
});
export const take = (state: WorkloadState, step: Step): Decided => ({
  state: { ...state, busy: step.type },
  effects: [{ type: 'take', step }],
});

export const filesOf = (rendered: Rendered): WorkloadState['files'] => ({
  rendered,
  needed: new Map(rendered.instances.map(({ id, ini }) => [id, descriptorsNeeded(ini, rendered.authFile)])),
});

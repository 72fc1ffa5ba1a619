/**
 * The instances of this unit: keeps them at the newest generation that this unit can prove.
 *
 * States: looking (nothing inspected yet) → settled (instances serve `applied`) → changing (a plan is walked, one step at a time)
 * → settled, or refused (the generation does not prove: the last good one stays) → draining → stopped.
 * What moves it: the newest generation (`generationTold`, or `recalled` from this unit's own memory before anybody is heard), what
 * inspection finds, the outcome of each step, and time.
 * Invariants: one effect at a time; a plan is made only from a fresh inspection and only towards one generation; a newer
 * generation that arrives midway is taken next; generations never go back; what was refused is not tried again until a newer
 * generation comes; an instance that runs what it should is never touched. Every plan can be broken off after any step, because
 * the next inspection makes a new one.
 */
import { canaryOf, render } from '../../pgbouncer/render.ts';
import { Unwritable } from '../../pgbouncer/dialect.ts';
import { planChange } from '../../pgbouncer/plan.ts';
import { formatVersion, isAtLeast } from '../../pgbouncer/version.ts';
import type { Decision, Send } from '../kit/behaviour.ts';
import type { Published } from '../model/fleet-spec.ts';
import type { Generation, UnitName } from '../model/ids.ts';
import { type Known, known, unknown } from '../model/known.ts';
import { same } from '../model/same.ts';
import type { InstanceReport } from '../model/snapshot.ts';
import { type Lack, type Wait, waitsOf } from '../model/waits.ts';
import type { Inspection, Rendered, Step } from '../model/workload.ts';
import type { WorkloadMessage, WorkloadReport } from '../protocol.ts';

export interface WorkloadSettings {
  readonly self: UnitName;
  /** Host that clients are told; null: the address the instances listen on. */
  readonly advertise: string | null;
  readonly inspectMs: number;
  /** Between turning readiness off and the start of the drain, so that load balancers notice. */
  readonly drainDelayMs: number;
  /** How long clients may take to leave before they are cut. */
  readonly drainDeadlineMs: number;
}

export type WorkloadEffect = { readonly type: 'inspect' } | { readonly type: 'take'; readonly step: Step };

export interface WorkloadState {
  readonly wanted: Published | null;
  /** Heard from `config` at least once; until then the generation of our own memory is what we know. */
  readonly heard: boolean;
  readonly recalled: Known<Published | null>;
  readonly verified: Published | null;
  readonly refused: { readonly generation: Generation; readonly reason: string } | null;
  readonly inspection: Known<Inspection>;
  readonly inspectedAt: number;
  /** The inspection no longer says how things are. */
  readonly outdated: boolean;
  readonly busy: 'no' | 'inspecting' | Step['type'];
  readonly plan: { readonly target: Published; readonly steps: readonly Step[] } | null;
  readonly trouble: { readonly reason: string; readonly attempt: number; readonly retryAt: number } | null;
  readonly unavailable: string | null;
  readonly leaving: { readonly since: number; readonly phase: 'delay' | 'draining' | 'stopped' } | null;
  readonly report: WorkloadReport | null;
  readonly waits: readonly Wait[];
}
type Decided = Decision<WorkloadState, WorkloadEffect>;

export const initial: WorkloadState = {
  wanted: null,
  heard: false,
  recalled: unknown,
  verified: null,
  refused: null,
  inspection: unknown,
  inspectedAt: Number.NEGATIVE_INFINITY,
  outdated: true,
  busy: 'no',
  plan: null,
  trouble: null,
  unavailable: null,
  leaving: null,
  report: null,
  waits: [],
};

export const decideWith =
  (settings: WorkloadSettings) =>
  (state: WorkloadState, message: WorkloadMessage, now: number): Decided =>
    speak(settings, state, reconcile(settings, absorb(settings, state, message, now), now), now);

const absorb = (
  settings: WorkloadSettings,
  state: WorkloadState,
  message: WorkloadMessage,
  now: number,
): WorkloadState => {
  switch (message.type) {
    case 'ticked':
      return state.leaving !== null || now - state.inspectedAt >= settings.inspectMs
        ? { ...state, outdated: true }
        : state;
    case 'hooked':
      return hooked(state, message.hook.type, now);
    case 'generationTold':
      return isNewer(message.published, state.wanted)
        ? { ...state, heard: true, wanted: message.published, trouble: null }
        : { ...state, heard: true };
    case 'recalled': {
      const recalled = { ...state, recalled: known(message.verified) };
      return isNewer(message.verified, state.wanted) ? { ...recalled, wanted: message.verified } : recalled;
    }
    case 'instanceExited':
      return { ...state, outdated: true };
    case 'inspected':
      return {
        ...state,
        busy: 'no',
        inspection: known(message.inspection),
        inspectedAt: now,
        outdated: false,
        unavailable: null,
      };
    case 'stepTaken':
      return stepTaken(state, message, now);
    case 'workloadUnavailable':
      return { ...state, busy: 'no', plan: null, outdated: true, inspectedAt: now, unavailable: message.reason };
  }
};

const isNewer = (a: Published | null, b: Published | null): boolean =>
  a !== null && (b === null || a.generation > b.generation || (a.generation === b.generation && a.epoch > b.epoch));

const hooked = (state: WorkloadState, hook: string, now: number): WorkloadState => {
  if (hook === 'stop' || hook === 'remove')
    return state.leaving === null ? { ...state, leaving: { since: now, phase: 'delay' }, plan: null } : state;
  // The platform says that something may have changed: look again, and do not wait out a back-off.
  return { ...state, outdated: true, trouble: state.trouble === null ? null : { ...state.trouble, retryAt: now } };
};

type StepTaken = Extract<WorkloadMessage, { type: 'stepTaken' }>;
const stepTaken = (before: WorkloadState, { step, outcome }: StepTaken, now: number): WorkloadState => {
  const state: WorkloadState = { ...before, busy: 'no', outdated: true };
  if (state.leaving !== null) return stepTakenWhileLeaving(state, step, outcome.kind === 'done', now);
  if (state.plan === null) return state;
  const { target, steps } = state.plan;
  switch (outcome.kind) {
    case 'done': {
      const [, ...rest] = steps;
      if (rest.length > 0) return { ...state, plan: { target, steps: rest } };
      const refused = state.refused?.generation === target.generation ? null : state.refused;
      return step === 'verify'
        ? { ...state, plan: null, verified: target, trouble: null, refused }
        : { ...state, plan: null };
    }
    case 'refused':
      return step === 'prove'
        ? refuse(state, target, outcome.reason)
        : backOff({ ...state, plan: null }, outcome.reason, now);
    case 'failed':
      return backOff({ ...state, plan: null }, outcome.reason, now);
  }
};

const stepTakenWhileLeaving = (state: WorkloadState, step: Step['type'], done: boolean, now: number): WorkloadState => {
  if (step === 'drain') return { ...state, leaving: { since: now, phase: 'draining' } };
  // Whoever did not end is stopped again, until the program's patience ends.
  return step === 'stop' && done ? { ...state, leaving: { since: now, phase: 'stopped' } } : state;
};

const longestBackOffMs = 15_000;
const backOff = (state: WorkloadState, reason: string, now: number): WorkloadState => {
  const attempt = (state.trouble?.attempt ?? 0) + 1;
  return {
    ...state,
    trouble: { reason, attempt, retryAt: now + Math.min(250 * 2 ** (attempt - 1), longestBackOffMs) },
  };
};

const reconcile = (settings: WorkloadSettings, state: WorkloadState, now: number): Decided => {
  if (state.busy !== 'no') return { state };
  if (state.leaving !== null) return leave(settings, state, state.leaving, now);
  const [next] = state.plan?.steps ?? [];
  if (next !== undefined) return take(state, next);
  if (state.outdated || !state.inspection.known)
    return state.unavailable !== null && now - state.inspectedAt < settings.inspectMs ? { state } : inspect(state);
  return plan(settings, state, state.inspection.value, now);
};

const inspect = (state: WorkloadState): Decided => ({
  state: { ...state, busy: 'inspecting' },
  effects: [{ type: 'inspect' }],
});
const take = (state: WorkloadState, step: Step): Decided => ({
  state: { ...state, busy: step.type },
  effects: [{ type: 'take', step }],
});

/** From what is to what should be. Nothing to do is the common case. */
const plan = (settings: WorkloadSettings, state: WorkloadState, inspection: Inspection, now: number): Decided => {
  const target = targetOf(settings.self, state);
  if (target === null || inspection.binary.kind === 'missing') return { state };
  if (state.trouble !== null && now < state.trouble.retryAt) return { state };
  const rendered = renderedFor(settings, target, inspection);
  if (rendered instanceof Unwritable) return { state: refuse(state, target, rendered.message) };
  const steps = planChange(inspection, rendered);
  const unverified = state.verified?.generation !== target.generation || state.verified.digest !== target.digest;
  const walk: readonly Step[] = steps.length === 0 && unverified ? [{ type: 'verify', rendered }] : steps;
  const [first] = walk;
  return first === undefined
    ? { state: { ...state, trouble: null } }
    : take({ ...state, plan: { target, steps: walk } }, first);
};

/** What we heard and can prove; else what we verified last; else nothing yet. */
const targetOf = (self: UnitName, { wanted, refused, verified, recalled, heard }: WorkloadState): Published | null => {
  // Without a share of the budget nothing may be served; the next generation counts this unit in.
  if (wanted === null || !wanted.spec.slots.some(({ unit }) => unit === self)) return null;
  if (!heard && !recalled.known) return null;
  if (refused?.generation !== wanted.generation) return wanted;
  return verified ?? (recalled.known && recalled.value?.generation !== wanted.generation ? recalled.value : null);
};

/** A spec that no file of this version can hold is refused like one that does not prove. */
const renderedFor = (
  { self }: WorkloadSettings,
  target: Published,
  { layout, binary }: Inspection,
): Rendered | Unwritable => {
  if (binary.kind === 'missing') throw new Error('rendering needs the version of the binary');
  try {
    return render(target.spec, self, layout, binary.version, canaryOf(target));
  } catch (cause) {
    if (cause instanceof Unwritable) return cause;
    throw cause;
  }
};

const refuse = (state: WorkloadState, { generation }: Published, reason: string): WorkloadState => ({
  ...state,
  plan: null,
  refused: { generation, reason },
  trouble: null,
});

const leave = (
  settings: WorkloadSettings,
  state: WorkloadState,
  leaving: NonNullable<WorkloadState['leaving']>,
  now: number,
): Decided => {
  if (!state.inspection.known || (state.outdated && leaving.phase !== 'stopped')) return inspect(state);
  const present = state.inspection.value.instances.filter(({ state: is }) => is !== 'absent');
  const there = present.map(({ id }) => id);
  if (there.length === 0) return { state: { ...state, leaving: { ...leaving, phase: 'stopped' } } };
  switch (leaving.phase) {
    case 'delay': {
      if (now - leaving.since < settings.drainDelayMs) return { state };
      // Before 1.23 there is no drain: waiting would only keep new clients coming.
      const drains = present.every(({ version }) => version !== null && isAtLeast(version, '1.23'));
      return take(state, { type: drains ? 'drain' : 'stop', instances: there });
    }
    case 'draining':
      return now - leaving.since >= settings.drainDeadlineMs
        ? take(state, { type: 'stop', instances: there })
        : { state };
    case 'stopped':
      return { state };
  }
};

const speak = (settings: WorkloadSettings, before: WorkloadState, decided: Decided, now: number): Decided => {
  let { state } = decided;
  const tell: Send[] = [];
  const report = reportOf(settings, state);
  if (report !== null && !same(report, before.report)) {
    state = { ...state, report };
    const fact = { type: 'workloadTold', report } as const;
    tell.push(['unit', fact], ['peers', fact], ['backend', fact]);
  }
  const waits = waitsOf(before.waits, lacksOf(settings, state), now);
  if (waits !== before.waits) {
    state = { ...state, waits };
    tell.push(['unit', { type: 'waitsTold', from: 'workload', waits }]);
  }
  return { ...decided, state, tell };
};

const reportOf = ({ advertise }: WorkloadSettings, state: WorkloadState): WorkloadReport | null => {
  if (!state.inspection.known) return null;
  const { binary, layout, instances } = state.inspection.value;
  const port = state.verified?.spec.options['listen_port'];
  return {
    available: binary.kind === 'found' && state.unavailable === null,
    address: typeof port === 'number' ? `${advertise ?? layout.listenAddress}:${port}` : '',
    verified: state.verified,
    refused: state.refused,
    instances: instances.map(
      (fact): InstanceReport => ({
        id: fact.id,
        pid: fact.pid,
        state: instanceState(state, fact.state, fact.canary),
        version: fact.version === null ? null : formatVersion(fact.version),
      }),
    ),
    changing: state.plan !== null,
    stopped: state.leaving?.phase === 'stopped',
  };
};

const instanceState = (
  { verified, plan: underWay }: WorkloadState,
  is: 'running' | 'hung' | 'absent',
  canary: string | null,
): InstanceReport['state'] => {
  if (is === 'absent') return underWay === null ? 'stopped' : 'starting';
  if (is === 'hung') return 'failing';
  return verified !== null && canary !== null ? 'serving' : 'starting';
};

const lacksOf = ({ self }: WorkloadSettings, state: WorkloadState): readonly Lack[] => {
  const lacks: Lack[] = [];
  if (state.leaving !== null) return lacks;
  if (state.unavailable !== null)
    lacks.push({ id: 'workload', kind: 'blocked', message: state.unavailable, on: 'operator' });
  if (state.inspection.known && state.inspection.value.binary.kind === 'missing')
    lacks.push({ id: 'pgbouncer', kind: 'blocked', message: state.inspection.value.binary.reason, on: 'operator' });
  if (state.wanted === null || !state.wanted.spec.slots.some(({ unit }) => unit === self))
    lacks.push({
      id: 'fleet-spec',
      kind: 'waiting',
      message: `no fleet spec that counts ${self} in yet: its instances start when the leader has published one`,
      on: 'leader',
    });
  if (state.refused !== null && state.refused.generation === state.wanted?.generation)
    lacks.push({
      id: 'proof',
      kind: 'blocked',
      message: `generation ${state.refused.generation} does not prove here and is not applied: ${state.refused.reason}`,
      on: 'operator',
    });
  if (state.trouble !== null)
    // Once may be bad luck and heals by itself; what fails three times running is told as needing somebody.
    lacks.push({
      id: 'instances',
      kind: state.trouble.attempt < 3 ? 'waiting' : 'blocked',
      message: state.trouble.reason,
      on: state.trouble.attempt < 3 ? self : 'operator',
    });
  else if (state.inspection.known && targetOf(self, state) !== null && !everyInstanceRuns(state.inspection.value))
    lacks.push({ id: 'instances', kind: 'waiting', message: notRunning(state.inspection.value), on: self });
  return lacks;
};

const everyInstanceRuns = ({ instances }: Inspection): boolean => instances.every(({ state }) => state === 'running');

const notRunning = ({ instances }: Inspection): string => {
  const those = instances.filter(({ state }) => state !== 'running').map(({ id, state }) => `${id} (${state})`);
  return `instances do not serve yet: ${those.join(', ')}; they are started again by this unit`;
};

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
import { settingsIn } from '../../pgbouncer/ini.ts';
import { planChange } from '../../pgbouncer/plan.ts';
import { canaryOfLast } from '../../pgbouncer/show.ts';
import type { Send } from '../kit/behaviour.ts';
import type { Published } from '../model/fleet-spec.ts';
import type { UnitName } from '../model/ids.ts';
import { known } from '../model/known.ts';
import { same } from '../model/same.ts';
import { waitsOf } from '../model/waits.ts';
import type { Inspection, Layout, PgBouncerVersion, Rendered, Step, TlsFiles } from '../model/workload.ts';
import type { WorkloadMessage } from '../protocol.ts';
import { type Excess, excessIn, isSameExcess, reconnects } from './budget.ts';
import { isResting, withFalls } from './falls.ts';
import { beginLeaving, leave, stepTakenWhileLeaving } from './leaving.ts';
import { lacksOf, reportOf } from './report.ts';
import { type Decided, filesOf, inspect, take, type WorkloadSettings, type WorkloadState } from './state.ts';
import { repairsIn, withRepairs } from './repairs.ts';
import { targetOf } from './target.ts';
import { backOff } from './trouble.ts';

export const decideWith =
  (settings: WorkloadSettings) =>
  (state: WorkloadState, message: WorkloadMessage, now: number): Decided =>
    speak(settings, state, reconcile(settings, absorb(settings, state, message, now), now), now);

/** Until a step that went wrong is tried again, an instance that fell has rested, or the next part of the farewell begins. */
export const dueWith =
  ({ inspectMs, drainDelayMs, drainDeadlineMs }: WorkloadSettings) =>
  (state: WorkloadState): number => {
    const { leaving, trouble, inspectedAt, renewed } = state;
    const looksAgain = inspectedAt + inspectMs;
    if (leaving !== null) {
      if (leaving.phase === 'stopped') return Number.POSITIVE_INFINITY;
      const until = leaving.since + (leaving.phase === 'delay' ? drainDelayMs : drainDeadlineMs);
      return Math.min(until, looksAgain);
    }
    if (renewed.length > 0) return looksAgain;
    return trouble?.retryAt ?? Number.POSITIVE_INFINITY;
  };

const absorb = (
  settings: WorkloadSettings,
  state: WorkloadState,
  message: WorkloadMessage,
  now: number,
): WorkloadState => {
  switch (message.type) {
    case 'ticked':
      // Others wait for what is above a limit here.
      return state.leaving !== null || state.renewed.length > 0 || now - state.inspectedAt >= settings.inspectMs
        ? { ...state, outdated: true }
        : state;
    case 'hooked':
      return hooked(state, message.hook.type, now);
    case 'generationTold':
      return isNewer(message.published, state.wanted)
        ? { ...state, heard: true, wanted: message.published, trouble: null }
        : { ...state, heard: true };
    case 'recalled': {
      const recalled = { ...state, recalled: known(message.verified), lastHeard: message.published, outdated: true };
      return isNewer(message.verified, state.wanted) ? { ...recalled, wanted: message.verified } : recalled;
    }
    case 'instanceExited':
      return { ...state, outdated: true, endings: new Map(state.endings).set(message.instance, message.how) };
    case 'inspected':
      return {
        ...state,
        verified: settings.observeOnly ? shownBy(message.inspection, state) : state.verified,
        served: settings.observeOnly ? tlsShownBy(message.inspection) : state.served,
        leaving: state.leaving === null ? null : { ...state.leaving, clients: message.clients },
        busy: 'no',
        inspection: known(message.inspection),
        inspectedAt: now,
        outdated: false,
        unavailable: null,
        renewed: stillAbove(state, message.inspection),
        wanted: furthest(state, message.inspection),
      };
    case 'stepTaken':
      return stepTaken(state, message, now);
    case 'workloadUnavailable': {
      const { reason, comesByItself } = message;
      const unavailable = { reason, comesByItself };
      return { ...state, busy: 'no', plan: null, outdated: true, inspectedAt: now, unavailable };
    }
  }
};

/** Without a proof of its own: the generation that we remember, as long as every instance that runs shows its canary. */
const shownBy = ({ instances }: Inspection, { recalled }: WorkloadState): Published | null => {
  const kept = recalled.known ? recalled.value : null;
  const running = instances.filter(({ state }) => state === 'running');
  return kept !== null && running.length > 0 && running.every(({ canary }) => canary === canaryOf(kept)) ? kept : null;
};

const tlsShownBy = ({ instances, layout: { tls = null } }: Inspection): TlsFiles | null =>
  instances.every(({ settings }) => settings?.['client_tls_cert_file'] === tls?.certificateFile) ? tls : null;

const isNewer = (a: Published | null, b: Published | null): boolean =>
  a !== null && (b === null || a.generation > b.generation || (a.generation === b.generation && a.epoch > b.epoch));

/**
 * An earlier life may have taken a generation, and told so, and ended before it could note it down. It does not go back behind what
 * it wrote: others were given what it gave up.
 */
const furthest = ({ heard, wanted, lastHeard }: WorkloadState, { disk }: Inspection): Published | null =>
  !heard && isNewer(lastHeard, wanted) && disk.instances.some(({ ini }) => isOf(lastHeard, ini)) ? lastHeard : wanted;

const isOf = (published: Published | null, ini: string | null): boolean =>
  published !== null && canaryOfLast(settingsIn(ini ?? '').get('syslog_ident') ?? '') === canaryOf(published);

const hooked = (state: WorkloadState, hook: string, now: number): WorkloadState => {
  if (hook === 'stop' || hook === 'remove' || hook === 'stopNow') return beginLeaving(state, hook === 'stopNow', now);
  // The platform says that something may have changed: look again, and do not wait out a back-off.
  return { ...state, outdated: true, trouble: state.trouble === null ? null : { ...state.trouble, retryAt: now } };
};

type StepTaken = Extract<WorkloadMessage, { type: 'stepTaken' }>;
const stepTaken = (before: WorkloadState, { step, outcome }: StepTaken, now: number): WorkloadState => {
  const state: WorkloadState = { ...before, busy: 'no', outdated: true };
  if (state.leaving !== null) return stepTakenWhileLeaving(state, step, outcome.kind === 'done', now);
  if (state.plan === null) return state;
  const { steps, ...plan } = state.plan;
  const { target, amends, fallen } = plan;
  const [taken, ...rest] = steps;
  switch (outcome.kind) {
    case 'done': {
      const files =
        taken !== undefined && 'rendered' in taken && step !== 'prove' ? filesOf(taken.rendered) : state.files;
      const fell = step === 'start' ? withFalls({ ...state, files }, fallen, now) : { ...state, files };
      if (rest.length > 0) return { ...fell, plan: { ...plan, steps: rest } };
      return taken?.type === 'verify'
        ? // What was replaced since may have been opened under limits that are no longer in force.
          withRepairs({ ...asVerified(state, target, taken.rendered), plan: null, renewed: [] }, amends)
        : { ...state, files, plan: null };
    }
    case 'refused':
    case 'failed': {
      if (outcome.kind === 'refused' && step === 'prove') return refuse(state, target, outcome.reason);
      const files = step === 'write' ? null : state.files;
      // What was not carried out is to be asked again.
      const renewed = step === 'reconnect' ? [] : state.renewed;
      return backOff({ ...state, files, renewed, plan: null }, outcome, now);
    }
  }
};

const asVerified = (state: WorkloadState, target: Published, rendered: Rendered): WorkloadState => ({
  ...state,
  files: filesOf(rendered),
  served: rendered.tls ?? null,
  verified: target,
  trouble: null,
  refused: state.refused?.generation === target.generation ? null : state.refused,
});

const reconcile = (settings: WorkloadSettings, state: WorkloadState, now: number): Decided => {
  if (state.busy !== 'no') return { state };
  if (state.leaving !== null) return leave(settings, state, state.leaving, now);
  const [next] = state.plan?.steps ?? [];
  if (next !== undefined) return take(state, next);
  if (settings.observeOnly) return state.outdated ? inspect(state) : { state };
  if (state.outdated || !state.inspection.known)
    return state.unavailable !== null && now - state.inspectedAt < settings.inspectMs ? { state } : inspect(state);
  return plan(settings, state, state.inspection.value, now);
};

/** From what is to what should be. Nothing to do is the common case. */
const plan = (settings: WorkloadSettings, before: WorkloadState, inspection: Inspection, now: number): Decided => {
  const target = targetOf(settings.self, before);
  if (target === null || inspection.binary.kind !== 'found') return { state: before };
  if (before.trouble !== null && now < before.trouble.retryAt) return { state: before };
  if (before.settledOn?.inspection === inspection && before.settledOn.target === target) return { state: before };
  const rendering = renderingOf(settings, before, target, inspection.layout, inspection.binary.version);
  const state = { ...before, rendering };
  const { rendered } = rendering;
  if (rendered instanceof Unwritable) return { state: refuse(state, target, rendered.message) };
  const steps = planChange(inspection, rendered, target.spec.abandoned);
  const unverified = !isSameSpec(state.verified, target);
  const attested = steps.length === 0 && unverified && isAttested(state, target, inspection);
  const walk: readonly Step[] = steps.length === 0 && unverified && !attested ? [{ type: 'verify', rendered }] : steps;
  const [first] = walk;
  if (first === undefined) {
    const served = attested ? asVerified(state, target, rendered) : state;
    return shrink({ ...served, trouble: null, settledOn: { inspection, target } }, target, inspection);
  }
  if (mustRest(state, inspection, walk, now)) return { state };
  const amends = repairsIn(state, inspection, walk, now);
  const fallen =
    state.verified === null
      ? []
      : walk.flatMap((step) => (step.type === 'start' ? absentOf(inspection, step.instances) : []));
  return take({ ...state, plan: { target, steps: walk, amends, fallen } }, first);
};

/** It was verified by an earlier life, which may have been a moment ago, and nothing is otherwise since. */
const isAttested = ({ recalled }: WorkloadState, target: Published, { attested, obstacles }: Inspection): boolean =>
  attested === true && obstacles.length === 0 && recalled.known && isSameSpec(recalled.value, target);

const isSameSpec = (one: Published | null, other: Published): boolean =>
  one?.generation === other.generation && one.digest === other.digest;

/** Each once: connections that are to be replaced stay marked, and no new one is opened above a limit. */
const shrink = (state: WorkloadState, target: Published, inspection: Inspection): Decided => {
  const excess = excessIn(inspection).filter((one) => !state.renewed.some((other) => isSameExcess(one, other)));
  const steps = reconnects(excess);
  const [first] = steps;
  return first === undefined
    ? { state }
    : take(
        { ...state, plan: { target, steps, amends: [], fallen: [] }, renewed: [...state.renewed, ...excess] },
        first,
      );
};

const stillAbove = ({ renewed }: WorkloadState, inspection: Inspection): readonly Excess[] => {
  if (renewed.length === 0) return renewed;
  const excess = excessIn(inspection);
  return renewed.filter((one) => excess.some((other) => isSameExcess(one, other)));
};

/** Nothing but starts, and they would fail, or have failed too often just now. */
const mustRest = (state: WorkloadState, inspection: Inspection, walk: readonly Step[], now: number): boolean => {
  const starts = walk.flatMap((step) => (step.type === 'start' ? step.instances : []));
  if (starts.length === 0 || walk.some(({ type }) => type !== 'start' && type !== 'verify')) return false;
  return inspection.obstacles.some(({ id }) => id === 'address') || starts.every((id) => isResting(state, id, now));
};

const absentOf = ({ instances }: Inspection, ids: readonly number[]): readonly number[] =>
  ids.filter((id) => instances.some((fact) => fact.id === id && fact.state === 'absent'));

const renderingOf = (
  { self }: WorkloadSettings,
  { rendering: earlier }: WorkloadState,
  target: Published,
  layout: Layout,
  version: PgBouncerVersion,
): NonNullable<WorkloadState['rendering']> =>
  earlier?.target === target && same(earlier.layout, layout) && same(earlier.version, version)
    ? earlier
    : { target, layout, version, rendered: renderedFor(self, target, layout, version) };

/** A spec that no file of this version can hold is refused like one that does not prove. */
const renderedFor = (
  self: UnitName,
  target: Published,
  layout: Layout,
  version: PgBouncerVersion,
): Rendered | Unwritable => {
  try {
    return render(target.spec, self, layout, version, canaryOf(target));
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

const speak = (settings: WorkloadSettings, before: WorkloadState, decided: Decided, now: number): Decided => {
  let { state } = decided;
  const tell: Send[] = [];
  const report = reportOf(settings, state, before, now);
  if (report !== null && !same(report, before.report)) {
    state = { ...state, report };
    const fact = { type: 'workloadTold', report } as const;
    tell.push(['unit', fact], ['peers', fact], ['backend', fact]);
  }
  const waits = waitsOf(before.waits, lacksOf(settings, state, now), now);
  if (waits !== before.waits) {
    state = { ...state, waits };
    tell.push(['unit', { type: 'waitsTold', from: 'workload', waits }]);
  }
  return { ...decided, state, tell };
};

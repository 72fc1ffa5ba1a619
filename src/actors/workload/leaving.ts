/** How a unit goes: readiness off and a while for load balancers to notice, then drained, then stopped. */
import { isAtLeast } from '../../pgbouncer/version.ts';
import type { Step } from '../model/workload.ts';
import { type Decided, inspect, take, type WorkloadSettings, type WorkloadState } from './state.ts';

export const leave = (
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

export const stepTakenWhileLeaving = (
  state: WorkloadState,
  step: Step['type'],
  done: boolean,
  now: number,
): WorkloadState => {
  if (step === 'drain') return { ...state, leaving: { since: now, phase: 'draining' } };
  // Whoever did not end is stopped again, until the program's patience ends.
  return step === 'stop' && done ? { ...state, leaving: { since: now, phase: 'stopped' } } : state;
};

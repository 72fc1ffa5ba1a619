/** How a unit goes: readiness off and a while for load balancers to notice, then drained, then stopped. */
import { isAtLeast } from '../../pgbouncer/version.ts';
import type { ConnectedClient, PgBouncerVersion, Step } from '../model/workload.ts';
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
  const waited = now - leaving.since;
  switch (leaving.phase) {
    case 'delay':
      return leaving.hurried || waited >= settings.drainDelayMs
        ? take(state, { type: 'drain', instances: there })
        : { state };
    case 'draining': {
      // Before 1.23 there is no drain: they serve on until nobody is left, and it is load balancers who keep new clients away.
      const deserted = leaving.clients?.length === 0 && !present.every(({ version }) => canDrain(version));
      if (!leaving.hurried && !deserted && waited < settings.drainDeadlineMs) return { state };
      const cut = leaving.cut.length > 0 ? leaving.cut : (leaving.clients ?? []);
      return take({ ...state, leaving: { ...leaving, cut } }, { type: 'stop', instances: there });
    }
    case 'stopped':
      return { state };
  }
};

const canDrain = (version: PgBouncerVersion | null): boolean => version !== null && isAtLeast(version, '1.23');

export const beginLeaving = (state: WorkloadState, hurried: boolean, now: number): WorkloadState =>
  state.leaving === null
    ? { ...state, leaving: { since: now, phase: 'delay', hurried, clients: null, cut: [] }, plan: null }
    : { ...state, leaving: { ...state.leaving, hurried: hurried || state.leaving.hurried } };

/** For people: how many connections of whom. */
export const countedClients = (clients: readonly ConnectedClient[]): Readonly<Record<string, number>> => {
  const counts = new Map<string, number>();
  for (const { database, user } of clients) {
    const whose = user === '' ? 'somebody' : `${database}/${user}`;
    counts.set(whose, (counts.get(whose) ?? 0) + 1);
  }
  return Object.fromEntries([...counts].toSorted(([a], [b]) => (a < b ? -1 : 1)));
};

export const stepTakenWhileLeaving = (
  state: WorkloadState,
  step: Step['type'],
  done: boolean,
  now: number,
): WorkloadState => {
  const { leaving } = state;
  if (leaving === null) return state;
  if (step === 'drain') return { ...state, leaving: { ...leaving, since: now, phase: 'draining' } };
  // Whoever did not end is stopped again, until the program's patience ends.
  return step === 'stop' && done ? { ...state, leaving: { ...leaving, since: now, phase: 'stopped' } } : state;
};

/**
 * Instances that end by themselves. The first times one is started again at once; one that goes on ending rests a little longer each
 * time, so that whatever ends it does not keep the whole machine busy.
 */
import type { UnitName } from '../model/ids.ts';
import { lack } from '../model/wait-catalogue.ts';
import type { Lack } from '../model/waits.ts';
import type { WorkloadState } from './state.ts';

const windowMs = 10_000;
/** So often within the window is bad luck. */
const atOnce = 3;
const needsSomebody = 6;
const longestRestMs = 1_500;
/** So long it has to stay until nobody speaks of it any more. */
const settledMs = 1_000;

export const withFalls = (state: WorkloadState, instances: readonly number[], now: number): WorkloadState =>
  instances.length === 0
    ? state
    : {
        ...state,
        falls: [
          ...state.falls.filter(({ at }) => now - at < windowMs),
          ...instances.map((instance) => ({ instance, at: now })),
        ],
      };

export const isResting = (state: WorkloadState, instance: number, now: number): boolean => {
  const { times, last } = recent(state, instance, now);
  return times >= atOnce && now < last + Math.min(250 * 2 ** (times - atOnce), longestRestMs);
};

export const lacksOfFalls = (state: WorkloadState, self: UnitName, now: number): readonly Lack[] => {
  const restless = [...new Set(state.falls.map(({ instance }) => instance))].flatMap((instance) => {
    const { times, last } = recent(state, instance, now);
    return times >= atOnce && (now - last < settledMs || isResting(state, instance, now)) ? [{ instance, times }] : [];
  });
  if (restless.length === 0) return [];
  const most = Math.max(...restless.map(({ times }) => times));
  const each = restless.map(({ instance, times }) => {
    const how = state.endings.get(instance);
    return `instance ${instance} ended ${times} times within ${windowMs / 1000} s${how === undefined ? '' : ` (the last time it ${how})`}`;
  });
  const reason = each.join(', ');
  return [(most < needsSomebody ? lack.crashes : lack.crashLoop)({ self, reason })];
};

const recent = (
  { falls }: WorkloadState,
  of: number,
  now: number,
): { readonly times: number; readonly last: number } => {
  const those = falls.filter(({ instance, at }) => instance === of && now - at < windowMs);
  return { times: those.length, last: those.at(-1)?.at ?? Number.NEGATIVE_INFINITY };
};

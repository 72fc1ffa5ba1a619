/** What this unit put right by itself, told for a while: at night nobody sees it happen. */
import type { Inspection, Step } from '../model/workload.ts';
import type { Repair, WorkloadState } from './state.ts';
import { tamperingIn } from './tampering.ts';

const kept = 8;
const keptMs = 3_600_000;

/** What a walk amends that nobody asked for. */
export const repairsIn = (
  state: WorkloadState,
  inspection: Inspection,
  walk: readonly Step[],
  now: number,
): readonly Repair[] => {
  if (state.verified === null || walk.length === 0) return [];
  const byHand = tamperingIn(state, inspection).map(
    (what): Repair => ({
      id: 'repaired',
      what: `${what} by hand, and put right by this unit: options are changed with "troupe config", and everything else is the unit's own`,
      at: now,
      times: 1,
    }),
  );
  const begun = new Set(walk.flatMap((step) => (step.type === 'start' ? step.instances : [])));
  const restarted = inspection.instances.filter(({ id }) => begun.has(id));
  return [...byHand, ...restarted.flatMap((fact) => replacement(state, fact, now))];
};

const replacement = (
  { endings }: WorkloadState,
  { id, state, pid }: Inspection['instances'][number],
  now: number,
): readonly Repair[] => {
  switch (state) {
    case 'running':
      return [];
    case 'hung':
      return [replaced(`instance ${id} (process ${pid}) did not answer, or no longer listened, and was replaced`, now)];
    case 'absent':
      return [replaced(`instance ${id} ${endings.get(id) ?? 'ended'}, and was started again`, now)];
  }
};

const replaced = (what: string, at: number): Repair => ({ id: 'replaced', what, at, times: 1 });

export const withRepairs = (state: WorkloadState, made: readonly Repair[]): WorkloadState => {
  if (made.length === 0) return state;
  const others = state.repairs.filter(({ what }) => !made.some((repair) => repair.what === what));
  const again = made.map((repair): Repair => {
    const before = state.repairs.find(({ what, at }) => what === repair.what && repair.at - at < keptMs);
    return { ...repair, times: repair.times + (before?.times ?? 0) };
  });
  return { ...state, repairs: [...others, ...again].slice(-kept) };
};

export const recentRepairs = ({ repairs }: WorkloadState, now: number): readonly Repair[] =>
  repairs.filter(({ at }) => now - at < keptMs);

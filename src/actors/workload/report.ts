/** What this unit tells of its instances, and what they lack. */
import { servingOf } from '../../pgbouncer/render.ts';
import { formatVersion } from '../../pgbouncer/version.ts';
import type { UnitName } from '../model/ids.ts';
import type { InstanceReport } from '../model/snapshot.ts';
import { lack } from '../model/wait-catalogue.ts';
import { remarksOf } from '../model/remark.ts';
import type { Lack } from '../model/waits.ts';
import { budgetsIn, smallestBudget } from '../model/budget.ts';
import type { InstanceFact, Obstacle } from '../model/workload.ts';
import type { WorkloadReport } from '../protocol.ts';
import { lacksOfFalls } from './falls.ts';
import { remarksIn } from './remarks.ts';
import { countedClients } from './leaving.ts';
import type { Leaving, WorkloadSettings, WorkloadState } from './state.ts';
import { budgetOf } from './budget.ts';
import { targetOf } from './target.ts';

export const reportOf = (
  settings: WorkloadSettings,
  state: WorkloadState,
  before: WorkloadState,
  now: number,
): WorkloadReport | null => {
  if (!state.inspection.known) return null;
  const { self, advertise } = settings;
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
    budget:
      before.report !== null && before.inspection === state.inspection && before.verified === state.verified
        ? before.report.budget
        : budgetOf(self, state.verified, state.inspection.value),
    tls: state.served === null ? null : { authorities: state.served.authorities },
    remarks: remarksOf(state.report?.remarks ?? [], remarksIn(state, now), now),
    changing: state.plan !== null,
    leaving: state.leaving === null ? null : leavingOf(settings, state.leaving),
  };
};

const leavingOf = (settings: WorkloadSettings, leaving: Leaving): WorkloadReport['leaving'] => {
  const { phase, since, clients, cut } = leaving;
  const ms = { delay: settings.drainDelayMs, draining: settings.drainDeadlineMs, stopped: 0 }[phase];
  const counted = phase === 'stopped' ? cut : clients;
  return { phase, until: since + ms, clients: counted === null ? null : countedClients(counted) };
};

const instanceState = (
  { verified, plan: underWay, trouble }: WorkloadState,
  is: 'running' | 'hung' | 'absent',
  canary: string | null,
): InstanceReport['state'] => {
  // One that could not be started is not about to be there each time that it is tried again.
  if (is === 'absent') return underWay === null || trouble !== null ? 'stopped' : 'starting';
  if (is === 'hung') return 'failing';
  return verified !== null && canary !== null ? 'serving' : 'starting';
};

export const lacksOf = ({ self }: WorkloadSettings, state: WorkloadState, now: number): readonly Lack[] => {
  const { inspection, leaving, refused, trouble, unavailable, wanted } = state;
  if (leaving !== null) return [];
  const lacks: Lack[] = [];
  // What was found by looking and what a step stumbled over is one lack.
  const once = (found: Lack): void => void (lacks.some(({ id }) => id === found.id) || lacks.push(found));
  if (unavailable !== null)
    once((unavailable.comesByItself ? lack.workloadAway : lack.workload)({ self, reason: unavailable.reason }));
  if (inspection.known) {
    const { binary, obstacles } = inspection.value;
    if (binary.kind === 'missing') once(lack.pgbouncer({ self, reason: binary.reason }));
    if (binary.kind === 'tooOld') once(lack.pgbouncerTooOld({ self, reason: binary.reason }));
    for (const { id, message } of obstacles) once(obstacleLack[id]({ self, reason: message }));
  }
  if (wanted === null || !wanted.spec.slots.some(({ unit }) => unit === self))
    once(withoutRoom(self, state) ?? lack.fleetSpec({ self }));
  const unserved = (state.report?.budget ?? []).filter(({ given }) => given === 0);
  if (unserved.length > 0) once(lack.budgetShare({ self, unserved }));
  if (refused !== null && refused.generation === wanted?.generation) once(lack.proof({ self, ...refused }));
  if (trouble !== null) once(lackOfTrouble(self, trouble));
  lacks.push(...lacksOfFalls(state, self, now));
  if (trouble === null) {
    const instances = idleIn(self, state);
    if (instances.length > 0) once(lack.instancesAbsent({ self, instances }));
  }
  return lacks;
};

/** What there is not enough of for this unit, by the smallest budget of the spec; null when there is enough. */
const withoutRoom = (self: UnitName, { wanted, inspection }: WorkloadState): Lack | null => {
  if (wanted === null || !inspection.known) return null;
  const [smallest] = budgetsIn(wanted.spec).toSorted((a, b) => a.maxConnections - b.maxConnections);
  const taken = smallestBudget(wanted.spec.slots);
  const needed = taken + inspection.value.layout.instances.length;
  return smallest === undefined || needed <= smallest.maxConnections
    ? null
    : lack.budgetRoomHere({ self, ...smallest, taken, needed });
};

/** Instances that should run and do not. */
const idleIn = (self: UnitName, state: WorkloadState): readonly InstanceFact[] => {
  const target = targetOf(self, state);
  if (target === null || !state.inspection.known) return [];
  const { layout, instances } = state.inspection.value;
  return instances.slice(0, servingOf(target.spec, self, layout)).filter((instance) => instance.state !== 'running');
};

const obstacleLack: Readonly<Record<Obstacle, (about: { readonly self: UnitName; readonly reason: string }) => Lack>> =
  {
    address: lack.address,
    'listen-address': lack.listenAddress,
    disk: lack.disk,
    files: lack.files,
    descriptors: lack.descriptors,
    tls: lack.tls,
  };

/** Once may be bad luck and heals by itself; what fails three times running is told as needing somebody. */
const lackOfTrouble = (self: UnitName, { reason, obstacle, attempt }: NonNullable<WorkloadState['trouble']>): Lack => {
  if (obstacle !== null) return obstacleLack[obstacle]({ self, reason });
  return (attempt < 3 ? lack.instancesFailing : lack.instancesBroken)({ self, reason });
};

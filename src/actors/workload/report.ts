/** What this unit tells of its instances, and what they lack. */
import { formatVersion } from '../../pgbouncer/version.ts';
import type { InstanceReport } from '../model/snapshot.ts';
import { lack } from '../model/wait-catalogue.ts';
import type { Lack } from '../model/waits.ts';
import type { WorkloadReport } from '../protocol.ts';
import type { WorkloadSettings, WorkloadState } from './state.ts';
import { targetOf } from './target.ts';

export const reportOf = ({ advertise }: WorkloadSettings, state: WorkloadState): WorkloadReport | null => {
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

export const lacksOf = ({ self }: WorkloadSettings, state: WorkloadState): readonly Lack[] => {
  const { inspection, leaving, refused, trouble, unavailable, wanted } = state;
  const lacks: Lack[] = [];
  if (leaving !== null) return lacks;
  if (unavailable !== null) lacks.push(lack.workload({ self, reason: unavailable }));
  if (inspection.known && inspection.value.binary.kind === 'missing')
    lacks.push(lack.pgbouncer({ self, reason: inspection.value.binary.reason }));
  if (wanted === null || !wanted.spec.slots.some(({ unit }) => unit === self)) lacks.push(lack.fleetSpec({ self }));
  if (refused !== null && refused.generation === wanted?.generation) lacks.push(lack.proof({ self, ...refused }));
  if (trouble !== null)
    // Once may be bad luck and heals by itself; what fails three times running is told as needing somebody.
    lacks.push((trouble.attempt < 3 ? lack.instancesFailing : lack.instancesBroken)({ self, reason: trouble.reason }));
  else if (inspection.known && targetOf(self, state) !== null) {
    const instances = inspection.value.instances.filter((instance) => instance.state !== 'running');
    if (instances.length > 0) lacks.push(lack.instancesAbsent({ self, instances }));
  }
  return lacks;
};

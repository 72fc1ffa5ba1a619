/** What this unit tells of its instances, and what they lack. */
import { formatVersion } from '../../pgbouncer/version.ts';
import type { InstanceReport } from '../model/snapshot.ts';
import type { Lack } from '../model/waits.ts';
import type { Inspection } from '../model/workload.ts';
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

import { type Workload, WorkloadAway, WorkloadUnavailable } from '../ports/workload.ts';
import type { WorkloadMessage } from '../protocol.ts';
import type { WorkloadEffect } from './state.ts';

export const performWith =
  (workload: Workload) =>
  async (effect: WorkloadEffect, signal: AbortSignal): Promise<WorkloadMessage> => {
    try {
      return effect.type === 'inspect'
        ? {
            type: 'inspected',
            inspection: await workload.inspect(signal),
            clients: effect.clients ? await workload.connected(signal) : null,
          }
        : { type: 'stepTaken', step: effect.step.type, outcome: await workload.take(effect.step, signal) };
    } catch (cause) {
      if (!(cause instanceof WorkloadUnavailable)) throw cause;
      return { type: 'workloadUnavailable', reason: cause.message, comesByItself: cause instanceof WorkloadAway };
    }
  };

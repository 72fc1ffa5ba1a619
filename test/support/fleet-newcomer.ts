import { join } from 'node:path';
import type { Application } from '../../src/actors/model/ids.ts';
import { loopbackOf } from '../../src/infra/local/free-port.ts';
import { startUnit } from '../../src/infra/local/unit-process.ts';
import { type FleetUnderTest, instanceCount, unitCommand } from './fleet-under-test.ts';

export interface Newcomer extends AsyncDisposable {
  readonly unit: string;
  /** By SIGTERM: it gives its number and share up. */
  leave(): Promise<void>;
}

/** One unit more, which leaves for good when it is stopped. */
export const joinFleet = async (fleet: FleetUnderTest, number: number): Promise<Newcomer> => {
  const { directory, redis } = fleet.local;
  const unit = `pgbouncer/${number}`;
  const started = await startUnit(
    {
      application: 'pgbouncer' as Application,
      command: unitCommand,
      directory,
      runDir: fleet.runDir,
      redis,
      secretKeyFile: join(directory, 'secret-key'),
      instances: instanceCount,
      pgbouncer: fleet.pgbouncer,
      account: fleet.account,
      environment: { TROUPE_LEAVE_ON_STOP: 'true' },
      onSpawned: async () => {},
    },
    { unit, number, address: loopbackOf(number), log: join(directory, `unit-${number}.log`) },
  );
  const leave = (): Promise<void> => started.stop();
  return { unit, leave, [Symbol.asyncDispose]: leave };
};

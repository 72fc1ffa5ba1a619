import { join } from 'node:path';
import { loopbackOf } from '../../src/infra/local/free-port.ts';
import type { FleetUnderTest } from './fleet-under-test.ts';

export interface Newcomer extends AsyncDisposable {
  readonly unit: string;
  /** By SIGTERM: it gives its number and share up. */
  leave(): Promise<void>;
}

/** One unit more, which leaves for good when it is stopped. */
export const joinFleet = async ({ place }: FleetUnderTest, number: number): Promise<Newcomer> => {
  const unit = `pgbouncer/${number}`;
  const log = join(place.directory, `unit-${number}.log`);
  const home = await place.home({ unit, number, address: loopbackOf(number), log }, { TROUPE_LEAVE_ON_STOP: 'true' });
  const started = await home.start();
  const leave = (): Promise<void> => started.stop();
  return { unit, leave, [Symbol.asyncDispose]: leave };
};

import type { Layout } from '../../actors/model/workload.ts';
import type { Clock } from '../../actors/ports/clock.ts';
import type { Log } from '../files/log.ts';
import type { Binary } from './binary.ts';
import type { Instance } from './instance.ts';
import type { UnitPlace } from './places.ts';
import type { ProbeLogin } from './probe.ts';

/** What every step needs: the instances of this unit, where they live, and how long anybody is waited for. */
export interface Unit {
  readonly clock: Clock;
  readonly log: Log;
  readonly binary: Binary;
  readonly place: UnitPlace;
  readonly listenAddress: string;
  readonly probe: ProbeLogin;
  readonly instances: readonly Instance[];
  /** Left over from an earlier life with more of them, and still running. */
  surplus(): Promise<readonly Instance[]>;
  readonly patience: Patience;
  readonly logLimitBytes: number;
}

/** Milliseconds. */
export interface Patience {
  /** For a console. PgBouncer has one thread: a storm of logins keeps it busy for a while and is no reason to kill it. */
  readonly answer: number;
  readonly pause: number;
  readonly start: number;
  readonly prove: number;
}

export const layoutOf = ({ listenAddress, place, probe, instances }: Unit): Omit<Layout, 'retiring'> => ({
  listenAddress,
  authFile: place.authFile,
  probe: { username: probe.username, verifier: probe.verifier },
  instances: instances.map(({ place: { id, ini, socketDir } }) => ({ id, ini, socketDir })),
});

export const wait = (clock: Clock, ms: number): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>();
  clock.after(ms, resolve);
  return promise;
};

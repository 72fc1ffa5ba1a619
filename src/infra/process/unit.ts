import type { Layout, TlsFiles } from '../../actors/model/workload.ts';
import type { Clock } from '../../actors/ports/clock.ts';
import type { Log } from '../files/log.ts';
import type { OwnLogin } from '../instances/login.ts';
import type { Patience } from '../instances/patience.ts';
import type { Binary } from './binary.ts';
import type { Instance } from './instance.ts';
import type { UnitPlace } from './places.ts';

/** What every step needs: the instances of this unit, where they live, and how long anybody is waited for. */
export interface Unit {
  readonly clock: Clock;
  readonly log: Log;
  readonly binary: Binary;
  readonly place: UnitPlace;
  readonly listenAddress: string;
  readonly probe: OwnLogin;
  readonly instances: readonly Instance[];
  readonly tls: TlsStock;
  /** Left over from an earlier life with more of them, and still running. */
  surplus(): Promise<readonly Instance[]>;
  readonly patience: Patience;
  readonly logLimitBytes: number;
}

/** With what clients are served that ask for TLS. */
export interface TlsStock {
  look(unit: Unit, inis: readonly (string | null)[], signal: AbortSignal): Promise<TlsLook>;
  /** Once nothing runs with others any more. */
  forgetOthers(files: TlsFiles | null): Promise<void>;
}

export interface TlsLook {
  /** What to serve with; null: without TLS. */
  readonly files: TlsFiles | null;
  readonly isWritten: boolean;
  /** Sentences. */
  readonly troubles: readonly string[];
}

export const layoutOf = ({ listenAddress, place, probe, instances }: Unit): Omit<Layout, 'retiring' | 'tls'> => ({
  listenAddress,
  authFile: place.authFile,
  probe: { username: probe.username, verifier: probe.verifier },
  instances: instances.map(({ place: { id, ini, socketDir } }) => ({ id, ini, socketDir })),
});

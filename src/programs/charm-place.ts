/** Where a unit of the charm finds its workload. The TROUPE_* are for who is not in a pod. */
import { availableParallelism } from 'node:os';
import type { Environment } from '../infra/juju/environment.ts';

export interface CharmPlace {
  /** Of Pebble. */
  readonly socket: string;
  readonly stateDir: string;
  readonly user: string;
  readonly consoleNetwork: string;
  /** PgBouncers of this unit. */
  readonly instances: number;
}

/** Each keeps one processor busy; one alone could not be restarted without its clients noticing. */
const [fewestInstances, mostInstances] = [2, 4];

export const placeIn = (environment: Environment): CharmPlace => ({
  socket: environment['TROUPE_PEBBLE'] ?? '/charm/containers/pgbouncer/pebble.socket',
  stateDir: environment['TROUPE_STATE_DIR'] ?? '/var/lib/pgbouncer',
  user: environment['TROUPE_USER'] ?? 'postgres',
  consoleNetwork: environment['TROUPE_CONSOLE_NETWORK'] ?? '127.0.1',
  instances: Math.min(mostInstances, Math.max(fewestInstances, availableParallelism())),
});

/** The agent answers a hook tool within seconds, or its controller is away. */
export const toolMs = 60_000;

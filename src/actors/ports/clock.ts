import type { WallMs } from '../model/ids.ts';

export interface Clock {
  /** Monotonic milliseconds of this process, for leases and delays. */
  now(): number;
  /** Wall-clock milliseconds, for instants that outlive a process. */
  wall(): WallMs;
  /** Calls back after `ms`; dispose to cancel. */
  after(ms: number, call: () => void): Disposable;
}

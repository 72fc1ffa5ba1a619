import type { ConnectedClient, Inspection, Step, StepOutcome } from '../model/workload.ts';

/** The workload cannot be reached at all (no state directory, Pebble away). Whether the step was done is unknown. */
export class WorkloadUnavailable extends Error {
  override readonly name: string = 'WorkloadUnavailable';
}

/** Its container is not there yet, or starts again: it comes by itself. */
export class WorkloadAway extends WorkloadUnavailable {
  override readonly name = 'WorkloadAway';
}

/** Rows of a console's SHOW command, values as text; null for NULL. */
export type ConsoleRow = Readonly<Record<string, string | null>>;

/**
 * The PgBouncer processes of this unit. Single bounded steps; each may be repeated without doing more than once.
 * Methods reject with WorkloadUnavailable and nothing else.
 */
export interface Workload extends AsyncDisposable {
  /** What is on disk and what runs: adopts processes of an earlier coordinator by pid, start time and console. */
  inspect(signal: AbortSignal): Promise<Inspection>;
  take(step: Step, signal: AbortSignal): Promise<StepOutcome>;
  /** One SHOW command on the console of one instance, for people and proofs. Null when that instance does not answer. */
  show(
    instance: number,
    what: 'clients' | 'pools' | 'databases' | 'users' | 'config',
    signal: AbortSignal,
  ): Promise<readonly ConsoleRow[] | null>;
  /** Who is connected, also while an instance drains and its console, which counts as a client, has to be left alone. */
  connected(signal: AbortSignal): Promise<readonly ConnectedClient[]>;
  /** Says at once that an instance has ended, and how, where the platform can tell; else `inspect` finds it. */
  onExit(exited: (instance: number, how: string) => void): Disposable;
}

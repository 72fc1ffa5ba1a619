/** What the container of the workload does for those who watch over it. */
import type { Pebble } from './client.ts';
import { forwardLogs, type LogForwarding } from './log-targets.ts';
import { PebbleError } from './trouble.ts';

export type Telling =
  | { readonly kind: 'done' }
  /** Pebble is not there. It is told when it is. */
  | { readonly kind: 'away' }
  | { readonly kind: 'failed'; readonly reason: string };

export interface Telemetry {
  /** Sends what services of the container write there, and nowhere else. Never rejects. */
  forwardLogs(wanted: LogForwarding): Promise<Telling>;
}

export interface TelemetryOptions {
  readonly pebble: Pebble;
}

/** Clients do not wait for it, but Juju does. */
const longestMs = 5_000;

export const openTelemetry = ({ pebble }: TelemetryOptions): Telemetry => ({
  forwardLogs: (wanted) => telling(forwardLogs(pebble, wanted, AbortSignal.timeout(longestMs))),
});

const telling = async (work: Promise<void>): Promise<Telling> => {
  try {
    await work;
    return { kind: 'done' };
  } catch (cause) {
    if (!(cause instanceof PebbleError)) throw cause;
    const { kind } = cause.trouble;
    return kind === 'away' || kind === 'restarting' ? { kind: 'away' } : { kind: 'failed', reason: cause.message };
  }
};

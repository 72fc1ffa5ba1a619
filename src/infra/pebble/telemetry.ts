/** What the container of the workload does for those who watch over it. */
import type { Pebble } from './client.ts';
import { type Exported, exportMetrics, stopExporters } from './exporters.ts';
import { forwardLogs, type LogForwarding } from './log-targets.ts';
import { instancePlace, placesIn } from './places.ts';
import { PebbleError } from './trouble.ts';

export type Unheard =
  /** Pebble is not there. It is told when it is. */
  { readonly kind: 'away' } | { readonly kind: 'refused'; readonly reason: string };
export type Told = { readonly kind: 'told' } | Unheard;

/** Nothing of it rejects. */
export interface Telemetry {
  /** Of the first instance; that of the second is the next one, and so on. */
  readonly metricsPort: number;
  /** Sends what services of the container write there, and nowhere else. */
  forwardLogs(wanted: LogForwarding): Promise<Told>;
  /** Lets metrics of the instances be read at their ports. */
  exportMetrics(): Promise<Exported | Unheard>;
  stopExporters(): Promise<Told>;
}

export interface TelemetryOptions {
  readonly pebble: Pebble;
  /** As of the workload. */
  readonly stateDir: string;
  /** Path of `pgbouncer_exporter` in the container, or its name. */
  readonly exporter: string;
  readonly user: string | null;
  readonly instances: number;
  readonly metricsPort: number;
}

/** Clients do not wait for it, but Juju does. */
const longestMs = 5_000;

export const openTelemetry = (options: TelemetryOptions): Telemetry => {
  const { pebble, stateDir, exporter, user, metricsPort } = options;
  const places = placesIn(stateDir);
  const instances = Array.from({ length: options.instances }, (_, index) => instancePlace(places, index + 1));
  const told = async (work: (signal: AbortSignal) => Promise<void>): Promise<Told> =>
    heard(async (signal) => {
      await work(signal);
      return { kind: 'told' };
    });
  return {
    metricsPort,
    forwardLogs: (wanted) => told((signal) => forwardLogs(pebble, wanted, signal)),
    exportMetrics: () =>
      heard((signal) => exportMetrics({ pebble, places, exporter, user, instances, firstPort: metricsPort }, signal)),
    stopExporters: () => told((signal) => stopExporters(pebble, signal)),
  };
};

const heard = async <T>(work: (signal: AbortSignal) => Promise<T>): Promise<T | Unheard> => {
  try {
    return await work(AbortSignal.timeout(longestMs));
  } catch (cause) {
    if (!(cause instanceof PebbleError)) throw cause;
    const { kind } = cause.trouble;
    return kind === 'away' || kind === 'restarting' ? { kind: 'away' } : { kind: 'refused', reason: cause.message };
  }
};

import { Secret } from '../../src/actors/model/secret.ts';
import type { Step } from '../../src/actors/model/workload.ts';
import type { Workload } from '../../src/actors/ports/workload.ts';
import type { ProcessWorkloadOptions } from '../../src/infra/process/workload.ts';

/** What a process workload is opened with, as far as it crosses to another process. */
export type HostOptions = Omit<ProcessWorkloadOptions, 'clock' | 'log'>;

/** One line each way: JSON in which secrets keep their text. Only ever between two processes of a test. */
export type Question = { readonly id: number } & (
  | {
      readonly type: 'open';
      readonly options: HostOptions;
      readonly account: { readonly uid: number; readonly gid: number };
    }
  | { readonly type: 'inspect' }
  | { readonly type: 'take'; readonly step: Step }
  | { readonly type: 'show'; readonly instance: number; readonly what: Parameters<Workload['show']>[1] }
  | { readonly type: 'connected' }
  | { readonly type: 'abort'; readonly question: number }
  | { readonly type: 'cpu' }
  | { readonly type: 'dispose' }
);
export type Word =
  | { readonly type: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly type: 'unavailable'; readonly id: number; readonly reason: string }
  | { readonly type: 'defect'; readonly id: number; readonly reason: string }
  | { readonly type: 'exited'; readonly instance: number; readonly how: string };

export const pack = (value: unknown): string =>
  JSON.stringify(value, function (this: Record<string, unknown>, key, shown: unknown) {
    const given = this[key];
    return given instanceof Secret ? { secretText: given.reveal() } : shown;
  });

export const unpack = (text: string) =>
  JSON.parse(text, (_key, value) => (typeof value?.secretText === 'string' ? new Secret(value.secretText) : value));

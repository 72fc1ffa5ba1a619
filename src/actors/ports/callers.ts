import type { ChangeOutcome, Compared } from '../model/change.ts';

/** Those who wait for an answer to a change they asked for, by request id. */
export interface Callers {
  answer(request: string, outcome: ChangeOutcome | Compared): void;
}

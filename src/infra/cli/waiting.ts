import type { FleetStatus } from '../../actors/model/status.ts';
import { timeoutMs } from './duration.ts';
import { CliFailure, exit } from './exit.ts';
import { progressOn } from './progress.ts';
import { type Standing, standingOf } from './standing.ts';
import type { Context, Given } from './verb.ts';

/** What one look at the status found. */
export type Look<T> = { readonly kind: 'done'; readonly value: T } | { readonly kind: 'pending'; readonly on: string };

/** Milliseconds to wait for a change, or null for not at all. To be asked before anything is changed. */
export const patienceOf = (given: Given): number | null => {
  const ms = timeoutMs(given.text('timeout') ?? '60');
  return given.has('no-wait') ? null : ms;
};

/** Looks at every status until what is looked for is there. Fails with what it still waits for when time is over. */
export const waitUntil = async <T>(
  { api, stderr, signal }: Context,
  within: number,
  look: (status: FleetStatus, signal: AbortSignal) => Look<T> | Promise<Look<T>>,
): Promise<T> => {
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(), within);
  const until = AbortSignal.any([signal, over.signal]);
  using progress = progressOn(stderr);
  let on = 'an answer';
  try {
    for await (const status of api.statuses(until, (why) => progress.show(`${why}; looking for another unit`))) {
      const seen = await look(status, until);
      if (seen.kind === 'done') return seen.value;
      on = seen.on;
      progress.show(`waiting for ${on}`);
    }
  } catch (cause) {
    if (!over.signal.aborted) throw cause;
  } finally {
    clearTimeout(timer);
  }
  throw new CliFailure(
    exit.late,
    `kept, but not done within ${within / 1_000} s: still waiting for ${on}; the fleet goes on with it (troupe status shows how far it is)`,
  );
};

type Verified = Extract<Standing, { kind: 'verified' }>;

/** A look that is over when every unit has verified the intent; refused ones end the command. */
export const verifiedLook =
  (version: number) =>
  (status: FleetStatus): Look<Verified> => {
    const standing = standingOf(status, version);
    if (standing.kind === 'refused') throw new CliFailure(exit.refused, standing.reason);
    return standing.kind === 'pending' ? standing : { kind: 'done', value: standing };
  };

import type { Change } from '../../actors/model/change.ts';
import { CliFailure, exit } from './exit.ts';
import type { Context } from './verb.ts';

export interface Kept {
  readonly outcome: 'accepted' | 'unchanged';
  /** Of the intent. */
  readonly version: number;
}

/** Asks for a change in the operator's name; what is not kept ends the command. */
export const askFor = async (
  { api, author, signal }: Context,
  change: Change,
  expected: number | null = null,
): Promise<Kept> => {
  const outcome = await api.change(change, signal, { author, expected });
  switch (outcome.kind) {
    case 'accepted':
    case 'unchanged':
      return { outcome: outcome.kind, version: outcome.version };
    case 'invalid':
      throw new CliFailure(
        exit.usage,
        outcome.problems.map(({ path, reason }) => `${path}: ${reason}`),
      );
    case 'refused':
      throw new CliFailure(exit.refused, outcome.reason);
    case 'moved':
      throw new CliFailure(
        exit.refused,
        `nothing was changed: the intent is at version ${outcome.version} by now${outcome.by === '' ? '' : `, changed by ${outcome.by}`}; look at it, then ask again`,
      );
    case 'unavailable':
      throw new CliFailure(exit.failed, outcome.reason);
  }
};

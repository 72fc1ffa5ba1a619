import type { Change } from '../../actors/model/change.ts';
import { movedSentence } from '../../api/difference-text.ts';
import type { Failed } from './change-request.ts';
import { CliFailure, exit } from './exit.ts';
import type { Context } from './verb.ts';

export interface Kept {
  readonly outcome: 'accepted' | 'unchanged';
  /** Of the intent. */
  readonly version: number;
}

type About = (path: string, reason: string) => string;

/** Of what takes a name alone: where the problem is goes without saying. */
export const aboutName: About = (_, reason) => reason;

/** Asks for a change in the operator's name; what is not kept ends the command. `about` words a problem. */
export const askFor = async (
  { api, author, signal }: Context,
  change: Change,
  expected: number | null = null,
  about?: About,
): Promise<Kept> => {
  const outcome = await api.change(change, signal, { author, expected });
  if (outcome.kind === 'accepted' || outcome.kind === 'unchanged')
    return { outcome: outcome.kind, version: outcome.version };
  throw outcomeFailure(outcome, about);
};

export const outcomeFailure = (outcome: Failed, about: About = (path, reason) => `${path}: ${reason}`): CliFailure => {
  switch (outcome.kind) {
    case 'invalid':
      return new CliFailure(
        exit.usage,
        outcome.problems.map(({ path, reason }) => about(path, reason)),
      );
    case 'refused':
      return new CliFailure(exit.refused, outcome.reason);
    case 'moved':
      return new CliFailure(exit.refused, movedSentence(outcome));
    case 'unavailable':
      return new CliFailure(exit.failed, outcome.reason);
  }
};

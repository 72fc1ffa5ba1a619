import type { Obstacle, StepOutcome } from '../../actors/model/workload.ts';
import { done, failed } from '../instances/outcome.ts';
import type { FileResult } from './answers.ts';
import type { FileRead } from './client.ts';

/** Null also for one that cannot be read: it is not ours, and is replaced like one that is missing. */
export const textOf = (read: FileRead | undefined): string | null => (read?.kind === 'read' ? read.content : null);

/** What Pebble says of paths, as the outcome of a step. */
export const outcomeOf = (step: string, results: readonly FileResult[]): StepOutcome => {
  const bad = results.find(({ error }) => error !== undefined && error !== null);
  return bad?.error === undefined || bad.error === null
    ? done
    : failed(`cannot ${step}: ${wayOut(bad.path, bad.error.message)}`, obstacleIn(bad.error));
};

type Problem = NonNullable<FileResult['error']>;

const obstacleIn = ({ kind, message }: Problem): Obstacle | undefined => {
  if (/no space left|disk quota/i.test(message)) return 'disk';
  return kind === 'permission-denied' || /read-only|is a directory|not a directory|file exists/i.test(message)
    ? 'files'
    : undefined;
};

const wayOut = (path: string, message: string): string => {
  if (/no space left|disk quota/i.test(message))
    return `no space is left for "${path}" in the workload container: free some on its file system (${message})`;
  if (/is a directory|not a directory|file exists/i.test(message))
    return `something else lies in the way at "${path}" in the workload container: remove it (${message})`;
  return `"${path}" in the workload container: ${message}`;
};

/**
 * RECONNECT: connections to a database are replaced as they become free. A RELOAD that lowers limits closes nothing while clients
 * queue for connections (1.18, 1.24, 1.26); after this a pool above its limit is back at it within about 0.1 s of transactions. In
 * session mode each connection stays until its client leaves.
 */
import type { StepOutcome } from '../../actors/model/workload.ts';
import { done, failed, together } from './outcome.ts';
import type { Patience } from './patience.ts';
import type { Reached } from './reached.ts';

/** Of those that run: what does not has no connections. */
export const reconnect = async (
  patience: Pick<Patience, 'answer'>,
  instances: readonly Reached[],
  databases: readonly string[],
  signal: AbortSignal,
): Promise<StepOutcome> =>
  together(
    await Promise.all(
      instances.flatMap((instance) => databases.map((database) => reconnectOne(patience, instance, database, signal))),
    ),
  );

const reconnectOne = async (
  { answer: withinMs }: Pick<Patience, 'answer'>,
  { id, console }: Reached,
  database: string,
  signal: AbortSignal,
): Promise<StepOutcome> => {
  const answer = await console.command(`RECONNECT "${database.replaceAll('"', '""')}"`, { withinMs, signal });
  return answer.kind === 'answered'
    ? done
    : failed(`cannot renew the connections of instance ${id} to database ${database}: ${answer.reason}`);
};

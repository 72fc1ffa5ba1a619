/**
 * RECONNECT: connections to a database are replaced as they become free. A RELOAD that lowers limits closes nothing while clients
 * queue for connections (1.18, 1.24, 1.26); after this a pool above its limit is back at it within about 0.1 s of transactions. In
 * session mode each connection stays until its client leaves.
 */
import type { StepOutcome } from '../../actors/model/workload.ts';
import type { Instance } from './instance.ts';
import { done, failed, together } from './outcome.ts';
import type { Unit } from './unit.ts';

export const reconnect = async (
  unit: Unit,
  instances: readonly Instance[],
  databases: readonly string[],
  signal: AbortSignal,
): Promise<StepOutcome> =>
  together(
    await Promise.all(
      instances.flatMap((instance) => databases.map((database) => reconnectOne(unit, instance, database, signal))),
    ),
  );

const reconnectOne = async (
  unit: Unit,
  instance: Instance,
  database: string,
  signal: AbortSignal,
): Promise<StepOutcome> => {
  const running = instance.running();
  if (running === null) return done; // What does not run has no connections.
  const command = `RECONNECT "${database.replaceAll('"', '""')}"` as const;
  const answer = await running.console.command(command, { withinMs: unit.patience.answer, signal });
  return answer.kind === 'answered'
    ? done
    : failed(`cannot renew the connections of instance ${instance.id} to database ${database}: ${answer.reason}`);
};

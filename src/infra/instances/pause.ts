/**
 * PAUSE and RESUME of whole instances. PAUSE blocks its connection until no server is in use, and stays in force when that
 * connection dies: so each has a console of its own, and whoever gives up resumes what it may have paused.
 */
import type { StepOutcome } from '../../actors/model/workload.ts';
import { haltedIn } from '../../pgbouncer/show.ts';
import type { Answer, Command } from '../console/console.ts';
import { done, failed, together } from './outcome.ts';
import type { Patience } from './patience.ts';
import type { Reached } from './reached.ts';

type Waiting = Pick<Patience, 'answer' | 'pause'>;

/** `absent` are those of the instances to pause that do not run. */
export const pause = async (
  patience: Waiting,
  instances: readonly Reached[],
  absent: readonly number[],
  signal: AbortSignal,
): Promise<StepOutcome> => {
  const outcome = together([
    ...(await Promise.all(instances.map((instance) => pauseOne(patience, instance, signal)))),
    ...absent.map((id) => failed(`cannot pause instance ${id}: it does not run`)),
  ]);
  if (outcome.kind === 'done') return outcome;
  // Half a pause is no use to anybody, and clients wait meanwhile. Not cancelled with the step: it mends what the step did.
  await resume(patience, instances, new AbortController().signal);
  return outcome;
};

/** What does not run holds nobody up. */
export const resume = async (
  patience: Waiting,
  instances: readonly Reached[],
  signal: AbortSignal,
): Promise<StepOutcome> =>
  together(await Promise.all(instances.map((instance) => resumeOne(patience, instance, signal))));

const pauseOne = async (patience: Waiting, instance: Reached, signal: AbortSignal): Promise<StepOutcome> => {
  await instance.notePaused(true);
  const answer = await command(instance, 'PAUSE', patience.pause, signal);
  if (answer.kind === 'answered') return done;
  const reason =
    answer.kind === 'silent' ? `its clients did not end their transactions (${answer.reason})` : answer.reason;
  return failed(`cannot pause instance ${instance.id}: ${reason}`);
};

const resumeOne = async (patience: Waiting, instance: Reached, signal: AbortSignal): Promise<StepOutcome> => {
  const answer = await command(instance, 'RESUME', patience.answer, signal);
  if (answer.kind !== 'answered') return failed(`cannot resume instance ${instance.id}: ${answer.reason}`);
  await instance.notePaused(false);
  return releaseDatabases(patience, instance, signal);
};

/** What somebody halted by name a global RESUME leaves as it is. */
const releaseDatabases = async (
  { answer: withinMs }: Waiting,
  { id, console }: Reached,
  signal: AbortSignal,
): Promise<StepOutcome> => {
  const patience = { withinMs, signal };
  const shown = await console.show('databases', patience);
  if (shown.kind !== 'answered') return failed(`cannot resume instance ${id}: ${shown.reason}`);
  for (const { name, paused, disabled } of haltedIn(shown.value)) {
    for (const command of [...(disabled ? (['ENABLE'] as const) : []), ...(paused ? (['RESUME'] as const) : [])]) {
      const answer = await console.commandOn(command, name, patience);
      if (answer.kind !== 'answered') return failed(`cannot resume database ${name}: ${answer.reason}`);
    }
  }
  return done;
};

const command = async (
  instance: Reached,
  what: Command,
  withinMs: number,
  signal: AbortSignal,
): Promise<Answer<'done' | 'already'>> => {
  using console = instance.consoleOfItsOwn();
  return await console.command(what, { withinMs, signal });
};

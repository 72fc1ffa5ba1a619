/**
 * PAUSE and RESUME of whole instances. PAUSE blocks its connection until no server is in use, and stays in force when that
 * connection dies: so each has a console of its own, and whoever gives up resumes what it may have paused.
 */
import type { StepOutcome } from '../../actors/model/workload.ts';
import { haltedIn } from '../../pgbouncer/show.ts';
import { type Answer, type Command, consoleAt } from '../console/console.ts';
import type { Instance, Running } from './instance.ts';
import { done, failed, together } from './outcome.ts';
import type { Unit } from './unit.ts';

export const pause = async (unit: Unit, instances: readonly Instance[], signal: AbortSignal): Promise<StepOutcome> => {
  const outcome = together(await Promise.all(instances.map((instance) => pauseOne(unit, instance, signal))));
  if (outcome.kind === 'done') return outcome;
  // Half a pause is no use to anybody, and clients wait meanwhile. Not cancelled with the step: it mends what the step did.
  await resume(unit, instances, new AbortController().signal);
  return outcome;
};

export const resume = async (unit: Unit, instances: readonly Instance[], signal: AbortSignal): Promise<StepOutcome> =>
  together(await Promise.all(instances.map((instance) => resumeOne(unit, instance, signal))));

const pauseOne = async (unit: Unit, instance: Instance, signal: AbortSignal): Promise<StepOutcome> => {
  const running = instance.running();
  if (running === null) return failed(`cannot pause instance ${instance.id}: it does not run`);
  await instance.notePaused(running, true);
  const answer = await command(unit, running, 'PAUSE', unit.patience.pause, signal);
  if (answer.kind === 'answered') return done;
  const reason =
    answer.kind === 'silent' ? `its clients did not end their transactions (${answer.reason})` : answer.reason;
  return failed(`cannot pause instance ${instance.id}: ${reason}`);
};

const resumeOne = async (unit: Unit, instance: Instance, signal: AbortSignal): Promise<StepOutcome> => {
  const running = instance.running();
  if (running === null) return done; // What does not run holds nobody up.
  const answer = await command(unit, running, 'RESUME', unit.patience.answer, signal);
  if (answer.kind !== 'answered') return failed(`cannot resume instance ${instance.id}: ${answer.reason}`);
  await instance.notePaused(running, false);
  return releaseDatabases(unit, instance, running, signal);
};

/** What somebody halted by name a global RESUME leaves as it is. */
const releaseDatabases = async (
  { patience: { answer: withinMs } }: Unit,
  instance: Instance,
  { console }: Running,
  signal: AbortSignal,
): Promise<StepOutcome> => {
  const patience = { withinMs, signal };
  const shown = await console.show('databases', patience);
  if (shown.kind !== 'answered') return failed(`cannot resume instance ${instance.id}: ${shown.reason}`);
  for (const { name, paused, disabled } of haltedIn(shown.value)) {
    for (const command of [...(disabled ? (['ENABLE'] as const) : []), ...(paused ? (['RESUME'] as const) : [])]) {
      const answer = await console.commandOn(command, name, patience);
      if (answer.kind !== 'answered') return failed(`cannot resume database ${name}: ${answer.reason}`);
    }
  }
  return done;
};

const command = async (
  { clock }: Unit,
  { socketDir, port }: Running,
  what: Command,
  withinMs: number,
  signal: AbortSignal,
): Promise<Answer<'done' | 'already'>> => {
  using console = consoleAt(clock, socketDir, port);
  return await console.command(what, { withinMs, signal });
};

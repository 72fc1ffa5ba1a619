import type { StepOutcome } from '../../actors/model/workload.ts';
import type { Instance } from './instance.ts';
import { logEnd, logSince } from './log-file.ts';
import { done, failed, refused, together } from '../instances/outcome.ts';
import type { Unit } from './unit.ts';
import { aboutFiles, quoted, troubles } from '../instances/words.ts';

/** PgBouncer reads its file before it answers, so what it says about it is in the log by then. Before 1.25 only there. */
export const reload = async (unit: Unit, instances: readonly Instance[], signal: AbortSignal): Promise<StepOutcome> =>
  together(await Promise.all(instances.map((instance) => reloadOne(unit, instance, signal))));

const reloadOne = async (unit: Unit, instance: Instance, signal: AbortSignal): Promise<StepOutcome> => {
  const running = instance.running();
  if (running === null) return failed(`cannot reload instance ${instance.id}: it does not run`);
  const { log } = instance.place;
  const since = await logEnd(log);
  const answer = await running.console.command('RELOAD', { withinMs: unit.patience.answer, signal });
  if (answer.kind === 'silent' || answer.kind === 'absent')
    return failed(`cannot reload instance ${instance.id}: ${answer.reason}`);
  const words = troubles(await logSince(log, since)).filter((text) => aboutFiles.test(text));
  const said = words.length === 0 && answer.kind === 'refused' ? [answer.reason] : words;
  return said.length === 0 ? done : refused(`instance ${instance.id} does not load its files: ${quoted(said)}`);
};

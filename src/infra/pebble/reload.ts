import type { StepOutcome } from '../../actors/model/workload.ts';
import { done, failed, refused, together } from '../instances/outcome.ts';
import { aboutFiles, quoted, troubles } from '../instances/words.ts';
import { type Found, type Instance, type OwnLogins, reached, surveyOf, type Unit } from './unit.ts';
import { saidSince } from './words.ts';

/**
 * PgBouncer reads its file before it answers; what it says about it goes through Pebble, which has it a moment later. So a word
 * about a file may come too late for this answer: it is the verification that decides.
 */
export const reload = async (unit: Unit, instances: readonly Instance[], signal: AbortSignal): Promise<StepOutcome> => {
  const survey = await surveyOf(unit, signal);
  const logins = await unit.logins(signal);
  const found = survey.instances.filter(({ instance }) => instances.includes(instance));
  return together(await Promise.all(found.map((one) => reloadOne(unit, one, logins, signal))));
};

const reloadOne = async (unit: Unit, found: Found, logins: OwnLogins, signal: AbortSignal): Promise<StepOutcome> => {
  const { id, place } = found.instance;
  const one = reached(unit, found, logins);
  if (one === null) return failed(`cannot reload instance ${id}: it does not run`);
  const since = unit.clock.wall();
  const answer = await one.console.command('RELOAD', { withinMs: unit.patience.answer, signal });
  if (answer.kind === 'silent' || answer.kind === 'absent')
    return failed(`cannot reload instance ${id}: ${answer.reason}`);
  const words = troubles(await saidSince(unit, place.service, since, signal)).filter((text) => aboutFiles.test(text));
  const said = words.length === 0 && answer.kind === 'refused' ? [answer.reason] : words;
  return said.length === 0 ? done : refused(`instance ${id} does not load its files: ${quoted(said)}`);
};

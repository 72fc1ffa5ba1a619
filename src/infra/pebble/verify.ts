import type { Rendered, StepOutcome } from '../../actors/model/workload.ts';
import { done, failed, refused, together } from '../instances/outcome.ts';
import { hasLoaded, letsIn, showsCertificate } from '../instances/proven.ts';
import { addressesOf } from '../instances/sockets.ts';
import { retire } from './stop.ts';
import { forgetOtherTls } from './tls.ts';
import { areReachable, reached, type Survey, surveyOf, type Unit } from './unit.ts';
import { noteVerified } from './verified.ts';

/** Nothing is believed: each instance is asked what it loaded, the kernel who listens, and PgBouncer to let us in. */
export const verify = async (unit: Unit, rendered: Rendered, signal: AbortSignal): Promise<StepOutcome> => {
  const [survey, addresses] = await Promise.all([surveyOf(unit, signal), addressesOf(unit.listenAddress)]);
  const logins = await unit.logins(signal);
  const { clock, listenAddress, patience } = unit;
  const port = rendered.listenPort;
  const within = { withinMs: patience.answer, signal };
  const each = rendered.instances.map(async ({ id, ini }): Promise<StepOutcome> => {
    const found = survey.instances.find(({ instance }) => instance.id === id);
    if (found === undefined) return refused(`this unit has no instance ${id}`);
    if (found.process === null) return failed(`instance ${id} does not run`);
    const one = found.port === port ? reached(unit, found, logins) : null;
    return one === null
      ? failed(`instance ${id} (process ${found.process.pid}) does not listen on ${listenAddress}:${port}`)
      : hasLoaded(one, ini, within);
  });
  const shared = areReachable(survey, addresses, port)
    ? done
    : failed(`not every instance listens on ${listenAddress}:${port}`);
  const outcome = together([...(await Promise.all(each)), shared]);
  if (outcome.kind !== 'done') return outcome;
  const door = { listenAddress, address: addresses[0] ?? '', port };
  const entered = await letsIn(clock, door, logins.probe, within);
  if (entered.kind !== 'done') return entered;
  const shown = await showsCertificate(door, rendered.tls ?? null, within);
  if (shown.kind !== 'done') return shown;
  await retireSurplus(unit, survey, signal);
  await forgetOtherTls(unit, rendered.tls ?? null, signal);
  await noteVerified(unit, survey, rendered, signal);
  return shown;
};

/** Instances of an earlier life with more of them share our address: they may go once those that stay are proven. */
const retireSurplus = async (unit: Unit, { surplus }: Survey, signal: AbortSignal): Promise<void> => {
  const staying = surplus.filter(({ instance }) => !instance.draining);
  if (staying.length === 0) return;
  const outcome = await retire(unit, staying, signal);
  const instances = staying.map(({ instance }) => instance.id);
  if (outcome.kind === 'done') unit.log.info({ instances }, 'instances beyond the configured number retire');
  else unit.log.warn({ instances, reason: outcome.reason }, 'instances beyond the configured number do not retire');
};

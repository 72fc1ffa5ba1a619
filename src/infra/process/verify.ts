import type { Rendered, StepOutcome } from '../../actors/model/workload.ts';
import type { Instance } from './instance.ts';
import { failed, refused, together } from '../instances/outcome.ts';
import { hasLoaded, letsIn, showsCertificate } from '../instances/proven.ts';
import { addressesOf } from '../instances/sockets.ts';
import { retire } from './stop.ts';
import type { Unit } from './unit.ts';

/** Nothing is believed: each instance is asked what it loaded, the kernel who listens, and PgBouncer to let us in. */
export const verify = async (unit: Unit, rendered: Rendered, signal: AbortSignal): Promise<StepOutcome> => {
  const addresses = await addressesOf(unit.listenAddress);
  const each = rendered.instances.map(async ({ id, ini }) => {
    const instance = unit.instances.find((candidate) => candidate.id === id);
    return instance === undefined
      ? refused(`this unit has no instance ${id}`)
      : verifyOne(unit, instance, { ini, addresses, port: rendered.listenPort }, signal);
  });
  const outcome = together(await Promise.all(each));
  if (outcome.kind !== 'done') return outcome;
  const { clock, listenAddress, patience, probe } = unit;
  const door = { listenAddress, address: addresses[0] ?? '', port: rendered.listenPort };
  const entered = await letsIn(clock, door, probe, { withinMs: patience.answer, signal });
  if (entered.kind !== 'done') return entered;
  const shown = await showsCertificate(door, rendered.tls ?? null, { withinMs: patience.answer, signal });
  if (shown.kind !== 'done') return shown;
  await retireSurplus(unit, signal);
  await unit.tls.forgetOthers(rendered.tls ?? null);
  return shown;
};

interface Wanted {
  readonly ini: string;
  readonly addresses: readonly string[];
  readonly port: number;
}

const verifyOne = async (unit: Unit, instance: Instance, wanted: Wanted, signal: AbortSignal): Promise<StepOutcome> => {
  const { id } = instance;
  const running = instance.running();
  if (running === null) return failed(`instance ${id} does not run`);
  const listensAt = await instance.addresses(running);
  if (running.port !== wanted.port || !listensAt.some((address) => wanted.addresses.includes(address)))
    return failed(
      `instance ${id} (process ${running.mark.pid}) does not listen on ${unit.listenAddress}:${wanted.port}`,
    );
  return hasLoaded({ id, console: running.console }, wanted.ini, { withinMs: unit.patience.answer, signal });
};

/** Instances of an earlier life with more of them share our address: they may go once those that stay are proven. */
const retireSurplus = async (unit: Unit, signal: AbortSignal): Promise<void> => {
  const surplus = (await unit.surplus()).filter((instance) => instance.running()?.draining === false);
  if (surplus.length === 0) return;
  const outcome = await retire(unit, surplus, signal);
  const instances = surplus.map(({ id }) => id);
  if (outcome.kind === 'done') unit.log.info({ instances }, 'instances beyond the configured number retire');
  else unit.log.warn({ instances, reason: outcome.reason }, 'instances beyond the configured number do not retire');
};

import type { Rendered, StepOutcome } from '../../actors/model/workload.ts';
import { configMismatches, type Shown } from '../../pgbouncer/verify.ts';
import { type Answer, type Console, openConsole, type Patience } from '../console/console.ts';
import type { Instance } from './instance.ts';
import { done, failed, refused, together } from './outcome.ts';
import { addressesOf } from './sockets.ts';
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
  const entered = await logIn(unit, addresses, rendered.listenPort, signal);
  if (entered.kind === 'done') await retireSurplus(unit, signal);
  return entered;
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
  const shown = await everythingShown(running.console, { withinMs: unit.patience.answer, signal });
  if (shown.kind !== 'answered') return failed(`the console of instance ${id} does not answer: ${shown.reason}`);
  const mismatches = configMismatches(wanted.ini, shown.value);
  return mismatches.length === 0
    ? done
    : refused(`instance ${id} did not load its files: ${mismatches.slice(0, 3).join('; ')}`);
};

const everythingShown = async (console: Console, patience: Patience): Promise<Answer<Shown>> => {
  const config = await console.show('config', patience);
  if (config.kind !== 'answered') return config;
  const databases = await console.show('databases', patience);
  if (databases.kind !== 'answered') return databases;
  const users = await console.show('users', patience);
  if (users.kind !== 'answered') return users;
  return { kind: 'answered', value: { config: config.value, databases: databases.value, users: users.value } };
};

/** Any of the instances may take it; which one the kernel decides. */
const logIn = async (
  { clock, probe, patience, listenAddress }: Unit,
  [address = '']: readonly string[],
  port: number,
  signal: AbortSignal,
): Promise<StepOutcome> => {
  const host = address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;
  using console = openConsole(clock, { host, port, username: probe.username, password: probe.password });
  const answer = await console.show('version', { withinMs: patience.answer, signal });
  if (answer.kind === 'answered') return done;
  const reason = `cannot log in at ${listenAddress}:${port} as ${probe.username}: ${answer.reason}`;
  return answer.kind === 'refused' ? refused(reason) : failed(reason);
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

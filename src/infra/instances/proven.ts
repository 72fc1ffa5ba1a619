/** Nothing is believed of what was applied: instances are asked what they loaded, and PgBouncer to let us in. */
import type { StepOutcome, TlsFiles } from '../../actors/model/workload.ts';
import type { Clock } from '../../actors/ports/clock.ts';
import { fingerprintOf } from '../../pgbouncer/tls.ts';
import { configMismatches, type Shown } from '../../pgbouncer/verify.ts';
import { type Answer, type Console, openConsole, type Patience } from '../console/console.ts';
import { certificateAt } from './handshake.ts';
import type { OwnLogin } from './login.ts';
import { done, failed, refused } from './outcome.ts';

/** Whether an instance has all of its file in force. */
export const hasLoaded = async (
  { id, console }: { readonly id: number; readonly console: Console },
  ini: string,
  patience: Patience,
): Promise<StepOutcome> => {
  const shown = await everythingShown(console, patience);
  if (shown.kind !== 'answered') return failed(`the console of instance ${id} does not answer: ${shown.reason}`);
  const mismatches = configMismatches(ini, shown.value);
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

export interface Door {
  /** As it was asked for, and one address of it. */
  readonly listenAddress: string;
  readonly address: string;
  readonly port: number;
}

/** Any of the instances may take it; which one the kernel decides. */
export const letsIn = async (
  clock: Clock,
  { listenAddress, address, port }: Door,
  { username, password }: OwnLogin,
  patience: Patience,
): Promise<StepOutcome> => {
  using console = openConsole(clock, { host: reachable(address), port, username, password });
  const answer = await console.show('version', patience);
  if (answer.kind === 'answered') return done;
  const reason = `cannot log in at ${listenAddress}:${port} as ${username}: ${answer.reason}`;
  return answer.kind === 'refused' ? refused(reason) : failed(reason);
};

/** Whoever asks for TLS sees it; SHOW CONFIG names the new files also where they could not be loaded. */
export const showsCertificate = async (
  { listenAddress, address, port }: Door,
  tls: TlsFiles | null,
  { withinMs, signal }: Patience,
): Promise<StepOutcome> => {
  if (tls === null) return done;
  const where = `${listenAddress}:${port}`;
  const within = AbortSignal.any([signal, AbortSignal.timeout(withinMs)]);
  const shown = await certificateAt(reachable(address), port, within);
  if (shown === null) return failed(`nobody speaks TLS at ${where}`);
  return shown === fingerprintOf(tls) ? done : failed(`another certificate is shown at ${where} than was written`);
};

const reachable = (address: string): string =>
  address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;

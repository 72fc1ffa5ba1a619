/** What the programs of the command line share: which unit to ask, and how failures are told. */
import { ApiRefusal } from '../infra/cli/api-refusal.ts';
import { NoAnswer } from '../infra/cli/api-request.ts';
import { CliFailure, type Exit, exit, exitOf } from '../infra/cli/exit.ts';
import { type Find, findUnit } from '../infra/cli/find-unit.ts';
import { isListenAddress } from '../infra/cli/place.ts';
import type { Output } from '../infra/cli/progress.ts';
import { plain } from '../infra/cli/screen.ts';
import type { Given } from '../infra/cli/verb.ts';
import { NoPassword } from '../infra/files/password-file.ts';
import { version } from '../version.ts';

/** What a command needs of the process it runs in. */
export interface CommandIo {
  readonly stdout: Output & Breakable;
  readonly stderr: Output & Breakable;
  /** The TROUPE_* values of the environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where units of this machine have their sockets. */
  readonly runDirectories: readonly string[];
}

interface Breakable {
  on(event: 'error', listener: (cause: Error) => void): unknown;
}

/** Resolves to the exit code; whatever goes wrong is told on stderr, a sentence a line. */
export const exitCodeOf = async (run: () => Promise<void>, { stdout, stderr }: CommandIo): Promise<number> => {
  for (const stream of [stdout, stderr]) stream.on('error', () => {}); // A reader that left (`| head`) is no failure.
  try {
    await run();
    return exit.ok;
  } catch (cause) {
    const { code, sentences } = failureOf(cause);
    for (const sentence of sentences) stderr.write(`troupe: ${plain(sentence)}\n`);
    return code;
  }
};

export const finderFor = (given: Given, { environment, runDirectories }: CommandIo): Find => {
  const whereabouts = {
    api: given.text('api') ?? askedAt(environment['TROUPE_API']),
    tokenFile: environment['TROUPE_API_TOKEN_FILE'] || null,
    caFile: environment['TROUPE_API_CA_FILE'] || null,
    runDirectories,
  };
  return (signal) => findUnit(whereabouts, signal);
};

/** In the environment of a unit this may be where it listens: then its socket is the way to it. */
const askedAt = (variable = ''): string | null => (variable === '' || isListenAddress(variable) ? null : variable);

const failureOf = (cause: unknown): { readonly code: Exit; readonly sentences: readonly string[] } => {
  if (cause instanceof CliFailure) return { code: cause.exit, sentences: cause.sentences };
  if (cause instanceof ApiRefusal) return { code: exitOf[cause.error.code], sentences: [cause.message] };
  if (cause instanceof NoPassword) return { code: exit.usage, sentences: [cause.message] };
  if (cause instanceof NoAnswer)
    return { code: exit.unreachable, sentences: [`the unit does not answer: ${cause.message}`] };
  const said = cause instanceof Error ? cause.message : String(cause);
  return { code: exit.failed, sentences: [`this is a defect of troupe ${version}, please report it: ${said}`] };
};

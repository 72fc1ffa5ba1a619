/** `troupe ready` without all that other verbs need. */
import { readyVerb } from '../infra/cli/commands/ready.ts';
import { verbHelp } from '../infra/cli/help.ts';
import { parseGiven } from '../infra/cli/verb.ts';
import { type CommandIo, exitCodeOf, finderFor } from './command.ts';

/** `args`: what stands behind the verb. Resolves to the exit code. */
export const ready = (args: readonly string[], io: CommandIo): Promise<number> =>
  exitCodeOf(async () => {
    const { stdout } = io;
    const given = parseGiven(readyVerb, args);
    if (given.has('help')) stdout.write(`${verbHelp(readyVerb)}\n`);
    else await readyVerb.run(given, { find: finderFor(given, io), stdout, signal: new AbortController().signal });
  }, io);

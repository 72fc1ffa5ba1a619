import { hostname, userInfo } from 'node:os';
import { ApiClient } from '../infra/cli/api-client.ts';
import { CliFailure, exit } from '../infra/cli/exit.ts';
import { elsewhere, helpText, verbHelp } from '../infra/cli/help.ts';
import { nearest } from '../infra/cli/nearest.ts';
import { paintWith } from '../infra/cli/screen.ts';
import { commonFlags, parseGiven, type Verb } from '../infra/cli/verb.ts';
import { verbs } from '../infra/cli/verbs.ts';
import { version } from '../version.ts';
import { type CommandIo, exitCodeOf, finderFor } from './command.ts';

/** What the command line needs of the process it runs in. */
export interface CliIo extends CommandIo {
  readonly stdin: AsyncIterable<Uint8Array | string>;
  /** Hears Ctrl-C and its kin, which until then end the process. */
  onInterrupt(interrupted: () => void): Disposable;
  /** Whether stdout is to be coloured. */
  readonly colour: boolean;
}

/** Runs one verb. Resolves to the exit code; whatever goes wrong is told on stderr, a sentence a line. */
export const cli = (argv: readonly string[], io: CliIo): Promise<number> => exitCodeOf(() => run(argv, io), io);

const run = async (argv: readonly string[], io: CliIo): Promise<void> => {
  const say = (text: string): void => void io.stdout.write(`${text}\n`);
  const { before, words } = flagsBefore(argv);
  const [first, ...rest] = words;
  if (first === undefined && before.length > 0)
    throw new CliFailure(exit.usage, `${before.join(' ')}: a verb is missing after it (troupe --help lists them)`);
  if (first === undefined || isHelp(first)) return say(helpText(verbs));
  const several = verbs.filter(({ name }) => name.startsWith(`${first} `));
  if (several.length > 0 && rest[0] !== undefined && isHelp(rest[0])) return say(several.map(verbHelp).join('\n\n'));
  const { verb, args } = verbIn(first === '--version' ? ['version'] : words);
  const given = parseGiven(verb, [...before, ...args]);
  if (given.has('help')) return say(verbHelp(verb));
  const { stdout, stderr, stdin, colour } = io;
  const find = finderFor(given, io);
  const { signal } = new AbortController();
  await verb.run(given, {
    find,
    api: new ApiClient(find),
    stdout,
    stderr,
    stdin,
    paint: paintWith(colour),
    colour,
    author: author(),
    version,
    signal,
    onLeave: (left) => {
      stdout.on('error', left);
      return io.onInterrupt(left);
    },
  });
};

/** Flags of every verb may stand before it too. */
const flagsBefore = (
  argv: readonly string[],
): { readonly before: readonly string[]; readonly words: readonly string[] } => {
  let at = 0;
  while (at < argv.length) {
    const word = argv[at] ?? '';
    const [, name = '', inline] = /^--([a-z]+)(=.*)?$/s.exec(word) ?? [];
    if (isHelp(word) || !Object.hasOwn(commonFlags, name)) break;
    at += commonFlags[name]?.value === undefined || inline !== undefined ? 1 : 2;
  }
  return { before: argv.slice(0, at), words: argv.slice(at) };
};

const isHelp = (word: string): boolean => ['--help', '-h', 'help'].includes(word);

const verbIn = (argv: readonly string[]): { readonly verb: Verb; readonly args: readonly string[] } => {
  const [first = '', second = ''] = argv;
  const one = verbs.find(({ name }) => name === first);
  if (one !== undefined) return { verb: one, args: argv.slice(1) };
  const two = verbs.find(({ name }) => name === `${first} ${second}`);
  if (two !== undefined) return { verb: two, args: argv.slice(2) };
  const kinds = verbs.map(({ name }) => name).filter((name) => name.startsWith(`${first} `));
  if (kinds.length > 0) throw new CliFailure(exit.usage, `troupe ${first} what? There are: ${kinds.join(', ')}`);
  if (first.startsWith('-'))
    throw new CliFailure(
      exit.usage,
      `only --api and --json may stand before the verb: ${first} comes after it (troupe VERB --help says which it takes)`,
    );
  if (elsewhere.some(([name]) => name === first))
    throw new CliFailure(exit.usage, `nothing may stand before "${first}": its flags come after it`);
  const meant = nearest(first, [
    ...verbs.map(({ name }) => name.split(' ')[0] ?? ''),
    ...elsewhere.map(([name]) => name),
  ]);
  throw new CliFailure(
    exit.usage,
    `there is no verb ${JSON.stringify(first)}${meant === null ? '' : `: did you mean ${meant}?`} (troupe --help lists them)`,
  );
};

/** Who asks, for the record of changes. An account without a name has its number. */
const author = (): string => {
  try {
    return `${userInfo().username}@${hostname()}`;
  } catch {
    return `${process.getuid?.() ?? 'somebody'}@${hostname()}`;
  }
};

import { hostname, userInfo } from 'node:os';
import { ApiRefusal } from '../infra/cli/answer.ts';
import { ApiClient } from '../infra/cli/api-client.ts';
import { CliFailure, type Exit, exit, exitOf } from '../infra/cli/exit.ts';
import { findUnit } from '../infra/cli/find-unit.ts';
import { elsewhere, helpText, verbHelp } from '../infra/cli/help.ts';
import { isListenAddress } from '../infra/cli/place.ts';
import { NoPassword } from '../infra/files/password-file.ts';
import { nearest } from '../infra/cli/nearest.ts';
import type { Output } from '../infra/cli/progress.ts';
import { paintWith, plain } from '../infra/cli/screen.ts';
import { NoAnswer } from '../infra/cli/api-request.ts';
import { commonFlags, parseGiven, type Verb } from '../infra/cli/verb.ts';
import { verbs } from '../infra/cli/verbs.ts';
import { version } from '../version.ts';

/** What the command line needs of the process it runs in. */
export interface CliIo {
  readonly stdout: Output & Breakable;
  readonly stderr: Output & Breakable;
  readonly stdin: AsyncIterable<Uint8Array | string>;
  /** The TROUPE_* values of the environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where units of this machine have their sockets. */
  readonly runDirectories: readonly string[];
  /** Hears Ctrl-C and its kin, which until then end the process. */
  onInterrupt(interrupted: () => void): Disposable;
  /** Whether stdout is to be coloured. */
  readonly colour: boolean;
}

interface Breakable {
  on(event: 'error', listener: (cause: Error) => void): unknown;
}

/** Runs one verb. Resolves to the exit code; whatever goes wrong is told on stderr, a sentence a line. */
export const cli = async (argv: readonly string[], io: CliIo): Promise<number> => {
  for (const stream of [io.stdout, io.stderr]) stream.on('error', () => {}); // A reader that left (`| head`) is no failure.
  try {
    await run(argv, io);
    return exit.ok;
  } catch (cause) {
    const { code, sentences } = failureOf(cause);
    for (const sentence of sentences) io.stderr.write(`troupe: ${plain(sentence)}\n`);
    return code;
  }
};

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
  const { stdout, stderr, stdin, colour, runDirectories, environment } = io;
  const whereabouts = {
    api: given.text('api') ?? askedAt(environment['TROUPE_API']),
    tokenFile: environment['TROUPE_API_TOKEN_FILE'] || null,
    caFile: environment['TROUPE_API_CA_FILE'] || null,
    runDirectories,
  };
  const { signal } = new AbortController();
  await verb.run(given, {
    api: new ApiClient((asking) => findUnit(whereabouts, asking)),
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

/** In the environment of a unit this may be where it listens: then its socket is the way to it. */
const askedAt = (variable = ''): string | null => (variable === '' || isListenAddress(variable) ? null : variable);

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

const failureOf = (cause: unknown): { readonly code: Exit; readonly sentences: readonly string[] } => {
  if (cause instanceof CliFailure) return { code: cause.exit, sentences: cause.sentences };
  if (cause instanceof ApiRefusal) return { code: exitOf[cause.error.code], sentences: [cause.message] };
  if (cause instanceof NoPassword) return { code: exit.usage, sentences: [cause.message] };
  if (cause instanceof NoAnswer)
    return { code: exit.unreachable, sentences: [`the unit does not answer: ${cause.message}`] };
  const said = cause instanceof Error ? cause.message : String(cause);
  return { code: exit.failed, sentences: [`this is a defect of troupe ${version}, please report it: ${said}`] };
};

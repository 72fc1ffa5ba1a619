import { exitMeans } from './exit.ts';
import { commonFlags, type Flag, type Verb } from './verb.ts';

/** Verbs of programs that this one does not hold. */
export const elsewhere: readonly (readonly [name: string, summary: string])[] = [
  ['unit', 'run a unit'],
  ['demo', 'a whole fleet on this machine, to try it out'],
];

export const helpText = (verbs: readonly Verb[]): string => {
  const lines = [...elsewhere, ...verbs.map(({ name, summary }) => [name, summary] as const)];
  return [
    'troupe: keeps a fleet of PgBouncers correct',
    '',
    'usage: troupe VERB [ARGUMENTS] [--json] [--api PLACE]',
    '',
    ...aligned(lines),
    '',
    'troupe VERB --help says more. Exit codes:',
    ...aligned(Object.entries(exitMeans)),
    '',
    'A unit on another machine: --api https://HOST:PORT, or TROUPE_API. TROUPE_API_TOKEN_FILE names the file with the token,',
    "TROUPE_API_CA_FILE that with the authority of the unit's certificate (else those of the system). When TROUPE_API is",
    'HOST:PORT, as for "troupe unit", it says where that unit listens, and verbs ask at the sockets of this machine.',
  ].join('\n');
};

export const verbHelp = ({ name, summary, usage, flags }: Verb): string => {
  const all = { ...flags, ...commonFlags };
  return [
    `troupe ${name}: ${summary}`,
    '',
    `usage: troupe ${name} ${usage}`.trimEnd(),
    '',
    ...aligned(Object.entries(all).map(([flag, about]) => [flagText(flag, about), about.help] as const)),
  ].join('\n');
};

const flagText = (flag: string, { value }: Flag): string => `--${flag}${value === undefined ? '' : ` ${value}`}`;

const aligned = (lines: readonly (readonly [string, string])[]): readonly string[] => {
  const width = Math.max(...lines.map(([left]) => left.length));
  return lines.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
};

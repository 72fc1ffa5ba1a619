import { parseArgs } from 'node:util';
import type { ApiClient } from './api-client.ts';
import { CliFailure, exit } from './exit.ts';
import type { Find } from './find-unit.ts';
import { nearest } from './nearest.ts';
import type { Output } from './progress.ts';
import type { Paint } from './screen.ts';

/** What a verb works with. */
export interface Context {
  readonly find: Find;
  readonly api: ApiClient;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdin: AsyncIterable<Uint8Array | string>;
  readonly paint: Paint;
  readonly colour: boolean;
  /** Signs changes. */
  readonly author: string;
  readonly version: string;
  readonly signal: AbortSignal;
  /** Hears that the person presses Ctrl-C, or that nobody reads stdout any more. A verb that does not ask ends by that at once. */
  onLeave(left: () => void): Disposable;
}

export interface Flag {
  /** What its value is called; a flag without is there or not. */
  readonly value?: string;
  readonly repeats?: true;
  /** One letter. */
  readonly short?: string;
  readonly help: string;
}

export interface Verb {
  /** One word, or two. */
  readonly name: string;
  readonly summary: string;
  /** Synopsis after the name. */
  readonly usage: string;
  readonly takes: { readonly least: number; readonly most: number };
  readonly flags: Readonly<Record<string, Flag>>;
  /** Resolves when what was asked for is so; a CliFailure says otherwise. */
  run(given: Given, context: Context): Promise<void>;
}

/** The arguments of a verb as they were given, checked for being there at all. */
export class Given {
  readonly words: readonly string[];
  readonly #values: ReadonlyMap<string, readonly string[]>;
  constructor(words: readonly string[], values: ReadonlyMap<string, readonly string[]>) {
    this.words = words;
    this.#values = values;
  }
  has(flag: string): boolean {
    return this.#values.has(flag);
  }
  all(flag: string): readonly string[] {
    return this.#values.get(flag) ?? [];
  }
  text(flag: string): string | null {
    return this.all(flag)[0] ?? null;
  }
  required(flag: string): string {
    const text = this.text(flag);
    if (text === null) throw new CliFailure(exit.usage, `--${flag} is missing`);
    return text;
  }
}

/** Flags of every verb. */
export const commonFlags: Readonly<Record<string, Flag>> = {
  api: {
    value: 'PLACE',
    help: 'the unit to ask: path of its socket, or https://HOST:PORT (TROUPE_API; otherwise any unit of this machine)',
  },
  json: { help: 'print JSON' },
  help: { short: 'h', help: 'print this help' },
};

export const waitFlags: Readonly<Record<string, Flag>> = {
  'no-wait': { help: 'return as soon as the change is kept' },
  timeout: { value: 'SECONDS', help: 'how long to wait (60); then the exit code is 5 and those that lag are named' },
};

export const parseGiven = (verb: Verb, args: readonly string[]): Given => {
  const flags = { ...verb.flags, ...commonFlags };
  const refuse = (sentence: string): CliFailure =>
    new CliFailure(exit.usage, `${sentence} (troupe ${verb.name} --help says how to use it)`);
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(
      Object.entries(flags).map(([name, { value, short }]) => [
        name,
        { type: value === undefined ? 'boolean' : 'string', ...(short === undefined ? {} : { short }) },
      ]),
    ),
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  const words: string[] = [];
  const values = new Map<string, string[]>();
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value);
    if (token.kind !== 'option') continue;
    const flag = Object.hasOwn(flags, token.name) ? flags[token.name] : undefined;
    if (flag === undefined) throw refuse(unknownFlag(token.rawName, Object.keys(flags)));
    values.set(token.name, [...(values.get(token.name) ?? []), valueOf(token, flag, refuse)]);
    if ((values.get(token.name)?.length ?? 0) > 1 && flag.repeats === undefined)
      throw refuse(`${token.rawName} is given twice`);
  }
  if (!values.has('help')) checkCount(verb, words, refuse);
  return new Given(words, values);
};

const unknownFlag = (given: string, known: readonly string[]): string => {
  const meant = nearest(given.replace(/^-+/, ''), known);
  return `there is no flag ${given}${meant === null ? '' : `: did you mean --${meant}?`}`;
};

interface Token {
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

const valueOf = (
  { rawName, value, inlineValue }: Token,
  flag: Flag,
  refuse: (sentence: string) => CliFailure,
): string => {
  if (flag.value === undefined) {
    if (value !== undefined) throw refuse(`${rawName} takes no value`);
    return '';
  }
  const isNextFlag = inlineValue !== true && value !== undefined && /^-./.test(value);
  if (value === undefined || isNextFlag) throw refuse(`${rawName} needs a value: ${flag.value}`);
  return value;
};

const checkCount = (
  { name, usage, takes }: Verb,
  words: readonly string[],
  refuse: (sentence: string) => CliFailure,
): void => {
  if (words.includes('')) throw refuse(`an argument is empty: troupe ${name} ${usage}`);
  if (words.length < takes.least) throw refuse(`something is missing: troupe ${name} ${usage}`);
  const surplus = words[takes.most];
  if (surplus !== undefined) throw refuse(`${JSON.stringify(surplus)} is more than it takes: troupe ${name} ${usage}`);
};

/** JSON for programs, text for people. */
export const print = ({ stdout }: Pick<Context, 'stdout'>, given: Given, json: unknown, text: string): void => {
  stdout.write(given.has('json') ? `${JSON.stringify(json, null, 2)}\n` : text === '' ? '' : `${text}\n`);
};

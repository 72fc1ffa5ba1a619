/** Arguments as Go's flag package of Juju reads them: flags anywhere, `--x v` or `--x=v`, everything after `--` as it is. */
export interface FlagKinds {
  /** With a value. */
  readonly values?: readonly string[];
  /** Without one, or with `=true` and `=false`. */
  readonly switches?: readonly string[];
}

export class Flags {
  readonly rest: readonly string[];
  readonly #given: ReadonlyMap<string, string>;

  constructor(args: readonly string[], { values = [], switches = [] }: FlagKinds) {
    const given = new Map<string, string>();
    const rest: string[] = [];
    const left = [...args];
    for (let arg = left.shift(); arg !== undefined; arg = left.shift()) {
      if (arg === '--') {
        rest.push(...left.splice(0));
        break;
      }
      const [, name, assigned] = /^--?([a-z][a-z-]*)(?:=([\s\S]*))?$/.exec(arg) ?? [];
      if (name === undefined) rest.push(arg);
      else if (values.includes(name)) {
        const value = assigned ?? left.shift();
        if (value === undefined) throw new ToolFault(`option needs an argument: ${arg}`, 2);
        given.set(name, value);
      } else if (switches.includes(name)) given.set(name, truthOf(name, assigned ?? 'true'));
      else throw new ToolFault(`option provided but not defined: ${arg}`, 2);
    }
    this.#given = given;
    this.rest = rest;
  }

  value(...names: readonly string[]): string | undefined {
    return names.map((name) => this.#given.get(name)).find((value) => value !== undefined);
  }

  isOn(name: string): boolean {
    return this.#given.get(name) === 'true';
  }
}

/** What a tool complains of, and its exit code. */
export class ToolFault extends Error {
  override readonly name = 'ToolFault';
  readonly code: 1 | 2;
  constructor(message: string, code: 1 | 2 = 1) {
    super(message);
    this.code = code;
  }
}

const truthOf = (name: string, text: string): string => {
  const truths: Readonly<Record<string, string>> = { true: 'true', True: 'true', false: 'false', False: 'false' };
  const truth = truths[text];
  if (truth === undefined) throw new ToolFault(`invalid value "${text}" for option --${name}: not a boolean`, 2);
  return truth;
};

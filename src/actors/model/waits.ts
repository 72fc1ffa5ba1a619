/**
 * What a unit lacks. `id` is stable (documented, tested); `message` says what, which, why and what to do;
 * `since` is monotonic ms (the program shows it as wall-clock time); `on` names who can end it.
 * `blocked` needs a person; `waiting` ends by itself when the missing fact arrives.
 */
export interface Wait {
  readonly id: string;
  readonly kind: 'waiting' | 'blocked';
  readonly message: string;
  readonly since: number;
  readonly on: string;
}

declare const catalogued: unique symbol;
/** A wait before it is known how long it has lasted. Only the catalogue makes one, with `saying`. */
export type Lack = Omit<Wait, 'since'> & { readonly [catalogued]: true };

/** Keeps `since` of lacks that were there before, and starts it for new ones. The order is that of `lacks`. */
export const waitsOf = (before: readonly Wait[], lacks: readonly Lack[], now: number): readonly Wait[] => {
  const next = lacks.map((lack) => ({ ...lack, since: before.find((wait) => wait.id === lack.id)?.since ?? now }));
  return sameWaits(before, next) ? before : next;
};

const sameWaits = (a: readonly Wait[], b: readonly Wait[]): boolean =>
  a.length === b.length &&
  a.every((wait, index) => {
    const other = b[index];
    return (
      other !== undefined &&
      wait.id === other.id &&
      wait.kind === other.kind &&
      wait.message === other.message &&
      wait.on === other.on
    );
  });

/** Words that stay the same, or that follow from the parameters. */
type Text<P> = string | ((params: P) => string);

/** An entry of the catalogue. The sentence is `what: why; way`, one line, without a full stop. */
export interface Words<P> {
  /** `<name>` stands for the parameter of that name. Never renamed, never used for something else. */
  readonly id: string;
  readonly kind: Wait['kind'];
  /** `operator`, `backplane`, `certificates` (the relation), `leader`, `units`, a unit, `backend:<name>`, `workload` (PgBouncer on the unit that says so) or `kubernetes`. */
  readonly on: Text<P>;
  /** What is lacking, and for which unit, client, backend. */
  readonly what: Text<P>;
  /** Why. What PostgreSQL, PgBouncer or the system said goes here, as theirs; it may bring a remedy of its own. */
  readonly why: Text<P>;
  /** What to do, or what ends it by itself. */
  readonly way: Text<P>;
  /** For the page: when this happens, in full sentences. */
  readonly happens: string;
  /** For the page: what the operator does, in full sentences, with the commands. */
  readonly remedy: string;
}

/** Makes the lack; `entry` is what the page tells of it. */
export interface Saying<P> {
  (params: P): Lack;
  readonly entry: Entry;
}
export interface Entry {
  readonly id: string;
  readonly happens: string;
  readonly remedy: string;
  readonly example: () => Lack;
}

export const saying = <P extends object>({ example, ...words }: Words<P> & { readonly example: P }): Saying<P> => {
  const lack = (params: P): Lack => {
    const text = (part: Text<P>): string => (typeof part === 'string' ? part : part(params));
    return lackOf(words, idOf(words.id, params), text);
  };
  const { id, happens, remedy } = words;
  return Object.assign(lack, { entry: { id, happens, remedy, example: () => lack(example) } });
};

const lackOf = <P>({ kind, on, what, why, way }: Words<P>, id: string, text: (part: Text<P>) => string): Lack => {
  const message = `${oneLine(text(what))}: ${clipped(oneLine(text(why)))}; ${oneLine(text(way))}`;
  return { id, kind, message, on: text(on) } as Lack;
};

const idOf = (template: string, params: object): string => {
  const values = new Map<string, unknown>(Object.entries(params));
  return template.replaceAll(/<(\w+)>/g, (_, name: string) => String(values.get(name)));
};

/** Words of others come with line ends and full stops. */
const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim().replace(/\.$/, '');

/** A sentence of PostgreSQL with detail and hint fits; a listing does not, and must not push the way out off the screen. */
const longestWhy = 400;
const clipped = (text: string): string => (text.length <= longestWhy ? text : `${text.slice(0, longestWhy - 1)}…`);

export type StatusWord = 'active' | 'waiting' | 'blocked' | 'maintenance' | 'down' | 'unknown';

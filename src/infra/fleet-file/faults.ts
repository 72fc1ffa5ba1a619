/** What is wrong with a file, all of it at once. */
export interface Fault {
  readonly line: number | null;
  /** As in `clients.orders.pool-mode`; empty for the file itself. */
  readonly path: string;
  readonly reason: string;
}

/** More than this nobody reads at once. */
const mostFaults = 20;
/** And looking for more would take longer than it is worth. */
const mostKept = 1_000;

export class Faults {
  readonly #all: Fault[] = [];
  get any(): boolean {
    return this.#all.length > 0;
  }
  /** Null, for whoever has nothing to return then. */
  add(line: number | null, path: string, reason: string): null {
    const isKnown = this.#all.some((one) => one.line === line && one.path === path && one.reason === reason);
    if (!isKnown && this.#all.length < mostKept) this.#all.push({ line, path, reason });
    return null;
  }
  /** One sentence each, in the order of the file. */
  sentences(name: string): readonly string[] {
    const sorted = this.#all.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
    const told = sorted.slice(0, mostFaults).map((fault) => faultSentence(name, fault));
    return sorted.length > mostFaults ? [...told, `${name}: and ${sorted.length - mostFaults} more faults`] : told;
  }
}

export const faultSentence = (name: string, { line, path, reason }: Fault): string =>
  [`${name}${line === null ? '' : `:${line}`}`, ...(path === '' ? [] : [shownPath(path)]), reason].join(': ');

/** Letters that look like others are shown as what they are. */
const shownPath = (path: string): string =>
  path.slice(0, 200).replace(/[^\x20-\x7e]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`);

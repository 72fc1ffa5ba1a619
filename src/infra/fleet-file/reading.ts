import { nearest } from '../../pgbouncer/nearest.ts';
import type { Faults } from './faults.ts';
import type { Tree } from './tree.ts';

/** Reads a tree as what it should be; what is otherwise is a fault. Keeps the line of every path. */
export class Reading {
  readonly faults: Faults;
  readonly #lines = new Map<string, number>();
  constructor(faults: Faults) {
    this.faults = faults;
  }

  /** The line of a path, or of the nearest one above it. */
  lineOf(path: string): number | null {
    const parts = path.split('.');
    for (let count = parts.length; count > 0; count -= 1) {
      const line = this.#lines.get(parts.slice(0, count).join('.'));
      if (line !== undefined) return line;
    }
    return null;
  }

  fields(tree: Tree, path: string, what: string, known: readonly string[]): ReadonlyMap<string, Tree> {
    const entries = this.entries(tree, path);
    return new Map(
      entries.filter(([key, value]) => {
        if (known.includes(key)) return true;
        const meant = nearest(key.toLowerCase(), known);
        const hint = meant === null ? `there are ${known.join(', ')}` : `did you mean ${meant}?`;
        this.faults.add(this.lineOf(join(path, key)) ?? value.line, join(path, key), `is no field of ${what}: ${hint}`);
        return false;
      }),
    );
  }

  entries(tree: Tree, path: string): readonly (readonly [key: string, value: Tree])[] {
    if (tree.kind !== 'map') {
      this.#otherwise(tree, path, 'must be a map of keys and values');
      return [];
    }
    for (const { key, line } of tree.entries) this.#lines.set(join(path, key), line);
    return tree.entries.map(({ key, value }) => [key, value] as const);
  }

  /** Text of a field; null after a fault. */
  text(tree: Tree | undefined, path: string): string | null {
    if (tree?.kind === 'text' && !tree.isOther) return tree.text;
    if (tree?.kind === 'text')
      return this.faults.add(tree.line, path, `must be a text: put it in quotes ("${tree.text.slice(0, 50)}")`);
    return this.#otherwise(tree, path, 'must be a text');
  }

  /** Several texts, as a list or with commas between them. */
  texts(tree: Tree | undefined, path: string): readonly string[] | null {
    if (tree?.kind === 'text')
      return (
        this.text(tree, path)
          ?.split(',')
          .map((text) => text.trim()) ?? null
      );
    if (tree?.kind !== 'list') return this.#otherwise(tree, path, 'must be a list of texts');
    return tree.items.flatMap((item, index) => this.text(item, `${path}[${index}]`) ?? []);
  }

  /** As on a command line: the text of a number is left to whoever knows what it should be. */
  word(tree: Tree, path: string): string | null {
    return tree.kind === 'text' ? tree.text : this.#otherwise(tree, path, 'must be one value');
  }

  number(tree: Tree, path: string): number | null {
    const text = tree.kind === 'text' ? tree.text : null;
    if (text !== null && /^(?:0|[1-9]\d{0,8})$/.test(text)) return Number(text);
    return text === null
      ? this.#otherwise(tree, path, 'must be a whole number')
      : this.faults.add(
          tree.line,
          path,
          `${JSON.stringify(text.slice(0, 50))} must be a whole number in plain decimal digits`,
        );
  }

  #otherwise(tree: Tree | undefined, path: string, what: string): null {
    if (tree === undefined) return this.faults.add(this.lineOf(path), path, 'is missing');
    const has = { nothing: 'has no value', list: 'is a list', map: 'is a map', text: 'is a text' }[tree.kind];
    return this.faults.add(tree.line, path, `${path === '' ? 'it ' : ''}${has}: it ${what}`);
  }
}

export const join = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`);

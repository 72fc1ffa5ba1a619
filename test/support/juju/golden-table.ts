/** A table in `test/golden/juju`: what stands in bags, beside what the ancestor has there and why it is otherwise. */
import { readFileSync } from 'node:fs';

export const goldenFolder = 'test/golden/juju';

/** Where it stands, under which key, what. */
export type Row = readonly [at: string, key: string, value: string];
export interface Chart {
  readonly file: string;
  readonly rows: readonly Row[];
}

/** Cells row by row, without its head. */
export const tableIn = (file: string): readonly (readonly string[])[] =>
  readFileSync(`${goldenFolder}/${file}`, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(1)
    .map((line) =>
      line
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim().replaceAll('\\|', '|')),
    );

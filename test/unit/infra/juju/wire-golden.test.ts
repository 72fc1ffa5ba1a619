import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { wireCharts } from '../../../support/juju/wire-charts.ts';

const folder = 'test/golden/juju';
const charts = wireCharts();

/** Cells of the table in a file, row by row, without its head. */
const tableIn = (file: string): readonly (readonly string[])[] =>
  readFileSync(`${folder}/${file}`, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(1)
    .map((line) =>
      line
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim().replaceAll('\\|', '|')),
    );

describe('the tables of what stands in bags', () => {
  it.each(charts)('$file says what is written and read', ({ file, rows }) => {
    expect(rows.length).toBeGreaterThan(3);
    expect(tableIn(file).map((cells) => cells.slice(0, 3))).toEqual(rows);
  });

  it.each(charts)('$file gives a reason for each difference from the ancestor, and for nothing else', ({ file }) => {
    for (const [at, key, , ancestor, reason] of tableIn(file))
      expect([at, key, reason === '']).toEqual([at, key, ancestor === 'same']);
  });

  it('are those of all charts', () => {
    expect(readdirSync(folder)).toEqual(expect.arrayContaining(charts.map(({ file }) => file)));
  });
});

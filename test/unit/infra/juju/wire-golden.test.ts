import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { goldenFolder, tableIn } from '../../../support/juju/golden-table.ts';
import { wireCharts } from '../../../support/juju/wire-charts.ts';

const charts = wireCharts();

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
    expect(readdirSync(goldenFolder)).toEqual(expect.arrayContaining(charts.map(({ file }) => file)));
  });
});

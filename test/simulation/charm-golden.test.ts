import { describe, expect, it } from 'vitest';
import { flowCharts } from '../support/juju/flow-charts.ts';
import { tableIn } from '../support/juju/golden-table.ts';

describe('the tables of what hooks leave in bags and secrets', () => {
  it.each(Object.entries(flowCharts))('%s says what was written', async (file, rowsOf) => {
    expect(tableIn(file).map((cells) => cells.slice(0, 3))).toEqual(await rowsOf());
  });

  it.each(Object.keys(flowCharts))(
    '%s gives a reason for each difference from the ancestor, and for nothing else',
    (file) => {
      const table = tableIn(file);
      expect(table.length).toBeGreaterThan(2);
      for (const [at, key, , ancestor, reason] of table)
        expect([at, key, reason === '']).toEqual([at, key, ancestor === 'same']);
    },
  );
});

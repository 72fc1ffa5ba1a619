/**
 * One measured line. `floor`: what the same takes without Troupe, measured in the same run; null where there is nothing to compare.
 * `note`: what a figure that does not hold is made of, as far as this run measured it; empty where there is nothing to explain.
 */
export interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly floor: number | null;
  readonly ratio: number | null;
  readonly budget: string;
  readonly holds: boolean;
  readonly note: string;
}

export const percentile = (values: readonly number[], share: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
};
export const median = (values: readonly number[]): number => percentile(values, 0.5);
export const rounded = (value: number): number => Math.round(value * 10) / 10;

export const reportText = (rows: readonly Row[]): string => {
  const cells = rows.map(({ name, value, unit, floor, ratio, budget, holds }) => [
    name,
    `${value} ${unit}`,
    floor === null ? '' : `floor ${floor} ${unit}`,
    ratio === null ? '' : `× ${ratio}`,
    `budget ${budget}`,
    holds ? 'holds' : 'DOES NOT HOLD',
  ]);
  const widths = cells[0]?.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0))) ?? [];
  return cells
    .flatMap((row, index) => [
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
      ...notesOf(rows[index]),
    ])
    .join('\n');
};

const notesOf = (row: Row | undefined): readonly string[] =>
  row === undefined || row.note === '' ? [] : [`    ${row.note}`];

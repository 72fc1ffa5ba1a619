import { type Paint, plain, type Tone, widthOf } from './screen.ts';

export type Cell = string | { readonly text: string; readonly tone: Tone | null };

/** Rows under their headings, columns as wide as they need to be. What has no content is left out, column or table. */
export const table = (headings: readonly string[], rows: readonly (readonly Cell[])[], paint: Paint): string => {
  if (rows.length === 0) return '';
  const cells = rows.map((row) => headings.map((_, column) => cellOf(row[column] ?? '')));
  const kept = headings.flatMap((heading, column) => {
    const texts = cells.map((row) => row[column]?.text ?? '');
    if (texts.every((text) => text === '')) return [];
    return [{ heading, column, width: Math.max(...[heading, ...texts].map(widthOf)) }];
  });
  const line = (cellIn: (column: number, heading: string) => { readonly text: string; readonly tone: Tone | null }) =>
    kept
      .map(({ column, heading, width }) => {
        const { text, tone } = cellIn(column, heading);
        return paint(text, tone) + ' '.repeat(width - widthOf(text));
      })
      .join('  ')
      .trimEnd();
  return [
    line((_, heading) => ({ text: heading, tone: 'dim' })),
    ...cells.map((row) => line((column) => row[column] ?? cellOf(''))),
  ].join('\n');
};

const cellOf = (cell: Cell): { readonly text: string; readonly tone: Tone | null } =>
  typeof cell === 'string' ? { text: plain(cell), tone: null } : { ...cell, text: plain(cell.text) };

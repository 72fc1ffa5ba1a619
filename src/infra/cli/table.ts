import { type Paint, padded, plain, type Tone, widthOf } from './screen.ts';

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
  const line = (paintedOf: (column: number, heading: string, width: number) => string): string =>
    kept
      .map(({ column, heading, width }) => paintedOf(column, heading, width))
      .join('  ')
      .trimEnd();
  return [
    line((_, heading, width) => paint(padded(heading, width), 'dim')),
    ...cells.map((row) =>
      line((column, _, width) => {
        const { text, tone } = row[column] ?? cellOf('');
        return paint(text, tone) + ' '.repeat(width - widthOf(text));
      }),
    ),
  ].join('\n');
};

const cellOf = (cell: Cell): { readonly text: string; readonly tone: Tone | null } =>
  typeof cell === 'string' ? { text: plain(cell), tone: null } : { ...cell, text: plain(cell.text) };

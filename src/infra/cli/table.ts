import { type Paint, plain, type Tone, widthOf, wrapped } from './screen.ts';

export type Cell = string | { readonly text: string; readonly tone: Tone | null };

/**
 * Rows under their headings, columns as wide as they need to be. What has no content is left out, column or table. On a screen
 * (`width`) the last column wraps.
 */
export const table = (
  headings: readonly string[],
  rows: readonly (readonly Cell[])[],
  paint: Paint,
  width: number | null = null,
): string => {
  if (rows.length === 0) return '';
  const cells = rows.map((row) => headings.map((_, column) => cellOf(row[column] ?? '')));
  const kept = headings.flatMap((heading, column) => {
    const texts = cells.map((row) => row[column]?.text ?? '');
    if (texts.every((text) => text === '')) return [];
    return [{ heading, column, width: Math.max(...[heading, ...texts].map(widthOf)) }];
  });
  const last = kept.at(-1);
  const before = kept.slice(0, -1).reduce((sum, one) => sum + one.width + 2, 0);
  const lines = (
    cellIn: (column: number, heading: string) => { readonly text: string; readonly tone: Tone | null },
  ) => {
    const line = kept
      .slice(0, -1)
      .map(({ column, heading, width: room }) => {
        const { text, tone } = cellIn(column, heading);
        return `${paint(text, tone)}${' '.repeat(room - widthOf(text))}  `;
      })
      .join('');
    if (last === undefined) return [line];
    const { text, tone } = cellIn(last.column, last.heading);
    const { indent, texts } = wrappedAt(text, before, width);
    const [first = '', ...rest] = texts.map((part) => paint(part, tone));
    return [(line + first).trimEnd(), ...rest.map((part) => ' '.repeat(indent) + part)];
  };
  return [
    ...lines((_, heading) => ({ text: heading, tone: 'dim' })),
    ...cells.flatMap((row) => lines((column) => row[column] ?? cellOf(''))),
  ].join('\n');
};

/** In its column where that leaves room for words, else on lines below. */
const wrappedAt = (
  text: string,
  column: number,
  width: number | null,
): { readonly indent: number; readonly texts: readonly string[] } => {
  if (width === null || column + widthOf(text) <= width) return { indent: column, texts: [text] };
  if (width - column >= leastRoom) return { indent: column, texts: wrapped(text, width - column) };
  return { indent: 4, texts: ['', ...wrapped(text, width - 4)] };
};
const leastRoom = 24;

const cellOf = (cell: Cell): { readonly text: string; readonly tone: Tone | null } =>
  typeof cell === 'string' ? { text: plain(cell), tone: null } : { ...cell, text: plain(cell.text) };

/** Text on a screen: how wide it is, and what must not reach it. */

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
/** East Asian wide and full-width blocks, and what is drawn as a picture. */
const wide =
  /^(?:\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}])|\ufe0f/u;
const zero = /^[\p{Mn}\p{Me}\p{Cf}]+$/u;

export const widthOf = (text: string): number => {
  let width = 0;
  for (const { segment } of graphemes.segment(text)) width += zero.test(segment) ? 0 : wide.test(segment) ? 2 : 1;
  return width;
};

export const padded = (text: string, width: number): string => text + ' '.repeat(Math.max(0, width - widthOf(text)));

export const cut = (text: string, width: number): string => {
  if (widthOf(text) <= width) return text;
  let kept = '';
  for (const { segment } of graphemes.segment(text)) {
    if (widthOf(kept + segment) > width - 1) break;
    kept += segment;
  }
  return `${kept}…`;
};

/** Lines of whole words that fit; a longer word has a line of its own. Null: one line, however long. */
export const wrapped = (text: string, width: number | null): readonly string[] => {
  if (width === null || widthOf(text) <= width) return [text];
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && widthOf(longer) > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line];
};

/** What others wrote, on one line and without control over the terminal: escapes, line breaks and reversed text become visible. */
export const plain = (text: string): string =>
  text.replace(
    /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu,
    (c) => `\\u${(c.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  );

export type Tone = 'good' | 'warning' | 'bad' | 'dim' | 'bold';
const codes: Readonly<Record<Tone, number>> = { good: 32, warning: 33, bad: 31, dim: 2, bold: 1 };

export type Paint = (text: string, tone: Tone | null) => string;
export const paintWith =
  (colour: boolean): Paint =>
  (text, tone) =>
    colour && tone !== null && text !== '' ? `\u001b[${codes[tone]}m${text}\u001b[0m` : text;

/**
 * Somebody's words within a sentence of ours: on one line, of a length that is read, and letters that look like others, cannot be
 * seen or change how the rest is shown as what they are.
 */
export const quoted = (text: string): string => {
  const escaped = JSON.stringify(text.slice(0, longest)).replaceAll(
    /[^\x20-\x7e]/gu,
    (one) => `\\u{${(one.codePointAt(0) ?? 0).toString(16)}}`,
  );
  return text.length > longest ? `${escaped.slice(0, -1)}…"` : escaped;
};

const longest = 80;

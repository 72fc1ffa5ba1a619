/**
 * Somebody's words within a sentence of ours: on one line, of a length that is read, and with everything that cannot be seen or
 * would change how the rest is shown written out.
 */
export const quoted = (text: string): string => {
  const whole = Array.from(text);
  const shown = whole.slice(0, longest).join('');
  const escaped = JSON.stringify(shown).replaceAll(unseen, (found) =>
    Array.from(found, (one) => `\\u{${(one.codePointAt(0) ?? 0).toString(16)}}`).join(''),
  );
  return whole.length > longest ? `${escaped.slice(0, -1)}…"` : escaped;
};

const longest = 80;
/** Controls, what writes from right to left, separators of lines, and blanks that look like others. */
const unseen = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;

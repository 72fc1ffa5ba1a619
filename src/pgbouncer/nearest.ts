/** The word that somebody meant who wrote `written`; null when none is near. */
export const nearest = (written: string, words: Iterable<string>): string | null => {
  if (written.length > 100) return null;
  let best: { readonly word: string | null; readonly far: number } = { word: null, far: written.length / 3 };
  for (const word of words) {
    const far = distance(written, word);
    if (far <= best.far && (best.word === null || far < best.far)) best = { word, far };
  }
  return best.word;
};

/** Letters to insert, to leave out or to change (Levenshtein). */
const distance = (from: string, to: string): number => {
  let above = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let row = 0; row < from.length; row += 1) {
    const below = [row + 1];
    for (let column = 0; column < to.length; column += 1) {
      const changed = (above[column] ?? 0) + (from[row] === to[column] ? 0 : 1);
      below.push(Math.min((below[column] ?? 0) + 1, (above[column + 1] ?? 0) + 1, changed));
    }
    above = below;
  }
  return above.at(-1) ?? 0;
};

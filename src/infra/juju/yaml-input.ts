/**
 * A map of texts for `--file -`. Juju reads it as YAML, which is JSON but for a few characters: it refuses DEL and the C1 controls
 * raw, folds the line ends of Unicode into blanks, and knows no halves of surrogate pairs.
 */
export const yamlInput = (map: Readonly<Record<string, string>>): string =>
  JSON.stringify(wellFormed(map), null, 1).replaceAll(
    /[\u007f-\u009f\u2028\u2029\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

const wellFormed = (map: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(map).map(([key, value]) => [key.toWellFormed(), value.toWellFormed()]));

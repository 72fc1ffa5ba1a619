/** libpq's connection string of the form `key=value key=value`, quoted where its readers need that. */
export const keyValues = (pairs: readonly (readonly [key: string, value: string])[]): string =>
  pairs.map(([key, value]) => `${key}=${quotedValue(value)}`).join(' ');

const quotedValue = (value: string): string => {
  const escaped = value.replaceAll(/[\\']/g, (one) => `\\${one}`);
  return /[\s]/.test(value) || value === '' ? `'${escaped}'` : escaped;
};

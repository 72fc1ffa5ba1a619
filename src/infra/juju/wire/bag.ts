import type { Secret } from '../../../actors/model/secret.ts';
import type { Bag } from '../tools.ts';

/** A value that is empty is absent. */
export const textIn = (bag: Bag, key: string): string | undefined => {
  const text = Object.hasOwn(bag, key) ? bag[key] : undefined;
  return text === '' ? undefined : text;
};

/** Of an object that others wrote, what is a text. */
export const textsOf = (object: Readonly<Record<string, unknown>>): Bag =>
  Object.fromEntries(Object.entries(object).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));

/** What goes into a bag or is made of a value from one; empty for none. */
export const revealed = (value: string | Secret | undefined): string =>
  value === undefined || typeof value === 'string' ? (value ?? '') : value.reveal();

/** What to write so that of `keys` a bag that holds `before` holds what is `wanted`, and nothing else of them. */
export const changesTo = (before: Bag, wanted: Bag, keys: readonly string[]): Bag =>
  Object.fromEntries(
    keys.flatMap((key) => {
      const value = textIn(wanted, key) ?? '';
      return value === (textIn(before, key) ?? '') ? [] : [[key, value] as const];
    }),
  );

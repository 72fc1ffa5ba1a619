/** "Not heard yet" is never "there is none": a fact is unknown, or it has a value (which may be an empty one). */
export type Known<T> = { readonly known: false } | { readonly known: true; readonly value: T };

export const unknown: { readonly known: false } = { known: false };
export const known = <T>(value: T): { readonly known: true; readonly value: T } => ({ known: true, value });

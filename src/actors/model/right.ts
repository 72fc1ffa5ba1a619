/** An attribute that a login which is taken over may have, because its relation asked for it. */
export type Right = (typeof rights)[number];
export const rights = ['superuser', 'createdb', 'createrole'] as const;

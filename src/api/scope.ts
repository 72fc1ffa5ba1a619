/** What a token may do. The other two include reading; neither includes the other, and a token may have both. */
export const scopes = ['read', 'operate', 'secrets'] as const;
export type Scope = (typeof scopes)[number];

export const isScope = (text: string): text is Scope => scopes.some((scope) => scope === text);

export const suffices = (granted: ReadonlySet<Scope>, needed: Scope): boolean =>
  granted.has(needed) || (needed === 'read' && granted.size > 0);

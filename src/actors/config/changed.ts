import type { OptionProblem } from '../../pgbouncer/catalogue.ts';
import type { RelationId } from '../model/ids.ts';
import type { Intent } from '../model/intent.ts';

/** What a change would come to. */
export type Changed =
  | { readonly kind: 'changed'; readonly intent: Intent }
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'invalid'; readonly problems: readonly OptionProblem[] }
  | { readonly kind: 'refused'; readonly reason: string };

export const changed = (intent: Intent): Changed => ({ kind: 'changed', intent });
export const invalid = (path: string, reason: string): Changed => ({ kind: 'invalid', problems: [{ path, reason }] });
export const refused = (reason: string): Changed => ({ kind: 'refused', reason });

/** The intent after a change, with `problems` in its stead when there are any. */
export const unless = (problems: readonly OptionProblem[], after: () => Changed): Changed =>
  problems.length > 0 ? { kind: 'invalid', problems } : after();

/** A problem where there is one. */
export const problemAt = (path: string, reason: string | null): readonly OptionProblem[] =>
  reason === null ? [] : [{ path, reason }];

export const next = (id: RelationId): RelationId => (id + 1) as RelationId;

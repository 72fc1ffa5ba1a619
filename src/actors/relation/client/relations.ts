import type { RelationId } from '../../model/ids.ts';
import type { Intent } from '../../model/intent.ts';
import type { RelationRecord } from '../../model/snapshot.ts';

/** A client relation as intent and records together say: alive while the intent names it, dying while only our record is left. */
export interface Relation {
  readonly id: RelationId;
  readonly name: string;
  readonly database: string;
  readonly backend: string;
  readonly extraUserRoles: readonly string[];
  /** `held`: nobody can tell whether it is asked for, so it stays as it is. */
  readonly life: 'alive' | 'held' | 'dying';
  readonly record: RelationRecord | null;
}

/** Without an intent nobody was ever asked anything: then nothing is dying either. */
export const relationsOf = (
  intent: Intent | null,
  records: ReadonlyMap<RelationId, RelationRecord>,
): readonly Relation[] => {
  if (intent === null) return [];
  const alive = Object.entries(intent.clients).map(
    ([name, client]): Relation => ({ ...client, name, life: 'alive', record: records.get(client.id) ?? null }),
  );
  const named = new Set(alive.map(({ id }) => id));
  const dying = [...records.values()]
    .filter(({ id }) => !named.has(id))
    .map((record): Relation => {
      const { id, name, database, backend } = record;
      const life = isHeld(record, intent) ? 'held' : 'dying';
      return { id, name, database, backend, extraUserRoles: [], life, record };
    });
  return [...alive, ...dying].toSorted((a, b) => a.id - b.id);
};

/** What the intent says of it cannot be read. Without its id it is known by its name. */
const isHeld = ({ id, name }: RelationRecord, { unreadable }: Intent): boolean =>
  unreadable.some((entry) => entry.of === 'clients' && (entry.id === null ? entry.name === name : entry.id === id));

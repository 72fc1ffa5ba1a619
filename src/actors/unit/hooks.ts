import type { Endpoint, Hook } from '../model/hook.ts';
import type { Intent } from '../model/intent.ts';
import { same } from '../model/same.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { RelationId, UnitName } from '../model/ids.ts';

/**
 * The hooks a platform would have run between two readings of the backplane, in Juju's order: standalone, this is where they
 * come from. Nothing is deduced from them that the snapshot does not say; they only say that it is time to look again.
 */
export const hooksBetween = (before: Snapshot, after: Snapshot, self: UnitName): readonly Hook[] => [
  ...leaderHooks(before, after, self),
  ...optionHooks(before, after),
  ...peerHooks(before, after, self),
  ...relationHooks(before, after),
];

const leaderHooks = (before: Snapshot, after: Snapshot, self: UnitName): readonly Hook[] => {
  const led = before.lease.holder === self;
  const leads = after.lease.holder === self;
  if (leads && (!led || after.lease.epoch !== before.lease.epoch)) return [{ type: 'leaderElected' }];
  return led && !leads ? [{ type: 'leaderLost' }] : [];
};

const optionHooks = (before: Snapshot, after: Snapshot): readonly Hook[] =>
  same(before.intent?.options ?? {}, after.intent?.options ?? {}) ? [] : [{ type: 'optionsChanged' }];

const peerHooks = (before: Snapshot, after: Snapshot, self: UnitName): readonly Hook[] => {
  const was = new Map(before.units.map((record) => [record.unit, record]));
  const is = new Map(after.units.map((record) => [record.unit, record]));
  const hooks: Hook[] = [];
  for (const [unit, record] of is) {
    const earlier = was.get(unit);
    if (unit === self) continue;
    if (earlier === undefined) hooks.push({ type: 'peerJoined', unit });
    else if (earlier.presence !== record.presence || !same(earlier.bag, record.bag))
      hooks.push({ type: 'peerChanged', unit });
  }
  for (const unit of was.keys()) if (unit !== self && !is.has(unit)) hooks.push({ type: 'peerDeparted', unit });
  return hooks;
};

const relationHooks = (before: Snapshot, after: Snapshot): readonly Hook[] => {
  const was = relationsOf(before.intent);
  const is = relationsOf(after.intent);
  const hooks: Hook[] = [];
  for (const [key, { content, ...of }] of is) {
    const earlier = was.get(key);
    if (earlier === undefined) hooks.push({ type: 'relationCreated', ...of }, { type: 'relationJoined', ...of });
    if (earlier === undefined || !same(earlier.content, content)) hooks.push({ type: 'relationChanged', ...of });
  }
  for (const [key, { content: _, ...of }] of was)
    if (!is.has(key)) hooks.push({ type: 'relationDeparted', ...of }, { type: 'relationBroken', ...of });
  return hooks;
};

interface Relation {
  readonly endpoint: Endpoint;
  readonly id: RelationId;
  readonly name: string;
  readonly content: unknown;
}

const relationsOf = (intent: Intent | null): ReadonlyMap<RelationId, Relation> =>
  new Map<RelationId, Relation>([
    ...Object.entries(intent?.backends ?? {}).map(([name, backend]): [RelationId, Relation] => [
      backend.id,
      { endpoint: 'backend-database', id: backend.id, name, content: backend },
    ]),
    ...Object.entries(intent?.clients ?? {}).map(([name, client]): [RelationId, Relation] => [
      client.id,
      { endpoint: 'database', id: client.id, name, content: client },
    ]),
  ]);

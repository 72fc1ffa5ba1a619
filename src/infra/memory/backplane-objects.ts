import type { Published } from '../../actors/model/fleet-spec.ts';
import type { Generation, RelationId } from '../../actors/model/ids.ts';
import type { Leadership } from '../../actors/model/leadership.ts';
import { same } from '../../actors/model/same.ts';
import { digestOfSpec } from '../files/canonical.ts';
import { leads } from './backplane-lease.ts';
import type { Kept, MemoryStore, Replies, Requests, Seat, Stepped } from './backplane-store.ts';

/** States a wish: needs no leadership, only that nobody else changed it since. */
export const changeIntent = (
  store: MemoryStore,
  seat: Seat,
  { next }: Requests['changeIntent'],
): Stepped<Replies['changeIntent']> => {
  if (same(store.intent?.value, next))
    return { store, seat: sawIntent(seat, next.version), reply: { kind: 'committed' } };
  const base = next.version - 1;
  const moved = (store.intent?.version ?? 0) !== base || (base > 0 && seat.seen.intent !== base);
  if (moved) return { store, seat, reply: { kind: 'conflict' } };
  const intent = { value: next, version: next.version, epoch: 0, nonce: seat.nonce };
  const changed = { ...store, intent, revision: store.revision + 1 };
  return { store: changed, seat: sawIntent(seat, next.version), reply: { kind: 'committed' } };
};

export const publish = (
  store: MemoryStore,
  seat: Seat,
  request: Requests['publish'],
  now: number,
): Stepped<Replies['publish']> => {
  const { leadership, after } = request;
  const before = store.generations.find(({ version }) => version === after + 1);
  if (before !== undefined && isSameWrite(before, request)) {
    return { store, seat, reply: { kind: 'committed', published: before.value } };
  }
  if (!leads(store, leadership, now)) return { store, seat, reply: { kind: 'fenced' } };
  if ((store.generations.at(-1)?.version ?? 0) !== after) return { store, seat, reply: { kind: 'conflict' } };
  const published = publishedOf(request);
  const { epoch, nonce } = leadership;
  const kept: Kept<Published> = { value: published, version: after + 1, epoch, nonce };
  const generations = [...store.generations, kept].slice(-keptGenerations);
  const changed = { ...store, generations, revision: store.revision + 1 };
  return { store: changed, seat, reply: { kind: 'committed', published } };
};

const keptGenerations = 50;

const publishedOf = ({ leadership, after, spec, about, at }: Requests['publish']): Published => ({
  generation: (after + 1) as Generation,
  epoch: leadership.epoch,
  digest: digestOfSpec(spec),
  author: leadership.holder,
  reason: about.reason,
  at,
  intentVersion: about.intentVersion,
  spec,
});

const isSameWrite = (kept: Kept<Published>, { leadership, spec, about }: Requests['publish']): boolean =>
  kept.epoch === leadership.epoch &&
  kept.nonce === leadership.nonce &&
  kept.value.intentVersion === about.intentVersion &&
  kept.value.reason === about.reason &&
  same(kept.value.spec, spec);

export const judge = (
  store: MemoryStore,
  seat: Seat,
  { leadership, verdict: value }: Requests['judge'],
  now: number,
): Stepped<Replies['judge']> => {
  const answer = fencedWrite(store, leadership, store.verdict, seat.seen.verdict, value, now);
  if (typeof answer === 'string') return { store, seat, reply: { kind: answer } };
  const changed = answer === store.verdict ? store : { ...store, verdict: answer, revision: store.revision + 1 };
  const seen = { ...seat.seen, verdict: answer.version };
  return { store: changed, seat: { ...seat, seen }, reply: { kind: 'committed' } };
};

export const writeRelation = (
  store: MemoryStore,
  seat: Seat,
  { leadership, record }: Requests['writeRelation'],
  now: number,
): Stepped<Replies['writeRelation']> => {
  const kept = store.relations.get(record.id) ?? null;
  const answer = fencedWrite(store, leadership, kept, seat.seen.relations.get(record.id) ?? 0, record, now);
  if (typeof answer === 'string') return { store, seat, reply: { kind: answer } };
  const relations = new Map(store.relations).set(record.id, answer);
  const changed = answer === kept ? store : { ...store, relations, revision: store.revision + 1 };
  return { store: changed, seat: sawRelation(seat, record.id, answer.version), reply: { kind: 'committed' } };
};

export const removeRelation = (
  store: MemoryStore,
  seat: Seat,
  { leadership, id }: Requests['removeRelation'],
  now: number,
): Stepped<Replies['removeRelation']> => {
  const kept = store.relations.get(id);
  if (kept === undefined) return { store, seat: sawRelation(seat, id, 0), reply: { kind: 'committed' } };
  if (!leads(store, leadership, now) || kept.epoch > leadership.epoch)
    return { store, seat, reply: { kind: 'fenced' } };
  if (kept.version !== (seat.seen.relations.get(id) ?? 0)) return { store, seat, reply: { kind: 'conflict' } };
  const relations = new Map(store.relations);
  relations.delete(id);
  const changed = { ...store, relations, revision: store.revision + 1 };
  return { store: changed, seat: sawRelation(seat, id, 0), reply: { kind: 'committed' } };
};

/** What is kept afterwards; `kept` itself when this very write was done before. */
const fencedWrite = <T>(
  store: MemoryStore,
  leadership: Leadership,
  kept: Kept<T> | null,
  seen: number,
  value: T,
  now: number,
): Kept<T> | 'fenced' | 'conflict' => {
  const { epoch, nonce } = leadership;
  if (kept !== null && kept.epoch === epoch && kept.nonce === nonce && same(kept.value, value)) return kept;
  if (!leads(store, leadership, now) || (kept !== null && kept.epoch > epoch)) return 'fenced';
  const version = kept?.version ?? 0;
  return version === seen ? { value, version: version + 1, epoch, nonce } : 'conflict';
};

const sawIntent = (seat: Seat, version: number): Seat => ({ ...seat, seen: { ...seat.seen, intent: version } });
const sawRelation = (seat: Seat, id: RelationId, version: number): Seat => ({
  ...seat,
  seen: { ...seat.seen, relations: new Map(seat.seen.relations).set(id, version) },
});

import { type Application, type UnitName, unitNameOf, unitNumberOf } from '../../actors/model/ids.ts';
import { same } from '../../actors/model/same.ts';
import type { Snapshot, UnitRecord } from '../../actors/model/snapshot.ts';
import type { Claimed } from '../files/number-claim.ts';
import { leads, leaseView } from './backplane-lease.ts';
import type { Member, MemoryStore, Replies, Requests, Seat, Stepped } from './backplane-store.ts';

export const observe = (store: MemoryStore, seat: Seat, _: object, now: number): Stepped<Replies['observe']> => {
  const present = presentIn(store, seat, now);
  if (typeof present === 'string') return { store, seat, reply: { kind: 'refused', reason: present } };
  const raised = { ...present, floor: Math.max(present.floor, seat.epoch) };
  const snapshot = snapshotOf(raised, now);
  const relations = new Map([...raised.relations].map(([id, { version }]) => [id, version]));
  const seen = { intent: raised.intent?.version ?? 0, verdict: raised.verdict?.version ?? 0, relations };
  return {
    store: raised,
    seat: { ...seat, seen, epoch: Math.max(seat.epoch, snapshot.lease.epoch) },
    reply: { kind: 'observed', snapshot },
  };
};

/** The store in which this unit is a member that was heard now; or why it may not be one. */
const presentIn = (store: MemoryStore, seat: Seat, now: number): MemoryStore | string => {
  const member = store.members.get(seat.unit);
  if (member?.nonce === seat.nonce)
    return member.down ? store : withMember(store, seat.unit, { ...member, heardAt: now });
  if (seat.left) return `${seat.unit} has left the fleet`;
  if (member !== undefined && isHeld(store, member, now) && member.boot >= seat.boot) {
    return `another process runs as ${seat.unit} (heard ${seconds(now - member.heardAt)} s ago): stop one of the two, or give this one another number`;
  }
  const { nonce, boot, instances } = seat;
  const joined = withMember(store, seat.unit, { nonce, boot, instances, down: false, heardAt: now });
  // What an earlier life of this unit held ends with it.
  const isItsOwn = store.lease.holder === seat.unit && store.lease.nonce !== seat.nonce;
  const lease = isItsOwn ? { ...store.lease, expiresAt: 0 } : store.lease;
  return { ...joined, lease, revision: store.revision + 1 };
};

/** Lowest free number; but first those whose folders we have, unless a live unit holds them. */
export const claimNumber = (
  store: MemoryStore,
  ask: {
    readonly application: Application;
    readonly nonce: Member['nonce'];
    readonly instances: number;
    readonly preferred: readonly number[];
    /** Those of them that gave a sign of life elsewhere: held until they say that they are down. */
    readonly watched: readonly number[];
    /** All of `preferred` are known to be held: take a new one. */
    readonly takeNew: boolean;
  },
  now: number,
): readonly [MemoryStore, Claimed] => {
  const { application, nonce, instances } = ask;
  const ours = [...store.members].find(([, member]) => member.nonce === nonce);
  if (ours !== undefined) return [store, { kind: 'claimed', unit: ours[0] }];
  const preferred = ask.preferred.map((number) => unitNameOf(application, number));
  const isWatched = (unit: UnitName): boolean => ask.watched.includes(unitNumberOf(unit));
  const isFree = (unit: UnitName): boolean => {
    const member = store.members.get(unit);
    return isWatched(unit) ? member?.down === true : !isHeld(store, member, now);
  };
  const lived = (unit: UnitName): number => (isWatched(unit) ? 0 : (store.members.get(unit)?.heardAt ?? 0));
  const [lastAlive] = preferred.filter(isFree).toSorted((one, other) => lived(other) - lived(one));
  const free =
    lastAlive ?? (ask.takeNew || preferred.length === 0 ? lowestFree(store, application, isWatched) : undefined);
  if (free === undefined) {
    return [
      store,
      { kind: 'lookAgain', heardAt: new Map(preferred.map((u) => [u, store.members.get(u)?.heardAt ?? 0])) },
    ];
  }
  const joined = withMember(store, free, { nonce, boot: 0, instances, down: false, heardAt: now });
  return [
    { ...joined, revision: store.revision + 1 },
    { kind: 'claimed', unit: free },
  ];
};

export const removeUnit = (
  store: MemoryStore,
  seat: Seat,
  { leadership, unit }: Requests['removeUnit'],
  now: number,
): Stepped<Replies['removeUnit']> => {
  const member = store.members.get(unit);
  if (member === undefined) return { store, seat, reply: { kind: 'committed' } };
  if (!leads(store, leadership, now)) return { store, seat, reply: { kind: 'fenced' } };
  if (isHeld(store, member, now)) return { store, seat, reply: { kind: 'conflict' } }; // It is back.
  return { store: without(store, unit), seat, reply: { kind: 'committed' } };
};

export const writeBag = (
  store: MemoryStore,
  seat: Seat,
  { bag }: Requests['writeBag'],
): Stepped<Replies['writeBag']> => {
  const member = store.members.get(seat.unit);
  if (member === undefined) return { store, seat, reply: { kind: 'conflict' } };
  if (member.nonce !== seat.nonce) return { store, seat, reply: { kind: 'fenced' } };
  if (same(store.bags.get(seat.unit), bag)) return { store, seat, reply: { kind: 'committed' } };
  const bags = new Map(store.bags).set(seat.unit, bag);
  return { store: { ...store, bags, revision: store.revision + 1 }, seat, reply: { kind: 'committed' } };
};

export const leave = (store: MemoryStore, seat: Seat, { how }: Requests['leave']): Stepped<Replies['leave']> => {
  const member = store.members.get(seat.unit);
  const left = how === 'departed' ? { ...seat, left: true } : seat;
  const reply = { kind: 'left' } as const;
  if (member?.nonce !== seat.nonce || (how === 'down' && member.down)) return { store, seat: left, reply };
  const gone =
    how === 'departed'
      ? without(store, seat.unit)
      : { ...withMember(store, seat.unit, { ...member, down: true }), revision: store.revision + 1 };
  return { store: gone, seat: left, reply };
};

const snapshotOf = (store: MemoryStore, now: number): Snapshot => ({
  lease: leaseView(store, now),
  intent: store.intent?.value ?? null,
  published: store.generations.at(-1)?.value ?? null,
  verdict: store.verdict?.value ?? { covers: 0, good: null, refused: null },
  units: [...store.members]
    .map(([unit, member]) => recordOf(store, unit, member, now))
    .toSorted((a, b) => unitNumberOf(a.unit) - unitNumberOf(b.unit)),
  relations: [...store.relations.values()].map(({ value }) => value).toSorted((a, b) => a.id - b.id),
  damaged: [],
});

const recordOf = (store: MemoryStore, unit: UnitName, member: Member, now: number): UnitRecord => {
  const silentMs = Math.max(0, now - member.heardAt);
  const presence = member.down ? 'down' : silentMs > store.deadAfterMs ? 'silent' : 'live';
  const { instances, nonce } = member;
  return { unit, instances, nonce, silentMs, presence, bag: store.bags.get(unit) ?? null };
};

/** By a process that lives, as far as one can tell. */
const isHeld = (store: MemoryStore, member: Member | undefined, now: number): boolean =>
  member !== undefined && !member.down && now - member.heardAt <= store.deadAfterMs;

const lowestFree = (
  store: MemoryStore,
  application: Application,
  isHeldElsewhere: (unit: UnitName) => boolean,
): UnitName => {
  const nameOf = (number: number): UnitName => unitNameOf(application, number);
  let number = 0;
  while (isHeldElsewhere(nameOf(number)) || store.members.has(nameOf(number))) number += 1;
  return nameOf(number);
};

const withMember = (store: MemoryStore, unit: UnitName, member: Member): MemoryStore => ({
  ...store,
  members: new Map(store.members).set(unit, member),
});

const without = (store: MemoryStore, unit: UnitName): MemoryStore => {
  const members = new Map(store.members);
  const bags = new Map(store.bags);
  members.delete(unit);
  bags.delete(unit);
  return { ...store, members, bags, revision: store.revision + 1 };
};

const seconds = (ms: number): string => (ms / 1000).toFixed(1);

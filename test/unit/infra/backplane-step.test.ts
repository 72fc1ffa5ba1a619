/** The pure store over random histories of several units: nothing that any of them does breaks what the others rely on. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Epoch, Generation, Millis, Nonce, RelationId, UnitName, WallMs } from '../../../src/actors/model/ids.ts';
import type { Leadership } from '../../../src/actors/model/leadership.ts';
import { same } from '../../../src/actors/model/same.ts';
import { step } from '../../../src/infra/memory/backplane-step.ts';
import {
  emptyStore,
  type Kind,
  type MemoryStore,
  type Replies,
  type Request,
  type Seat,
  seatOf,
} from '../../../src/infra/memory/backplane-store.ts';
import { bagOf, intentOf, recordOf, specOf } from '../../support/builders.ts';

const ttl = 100 as Millis;
const names = [0, 1, 2];
interface Move {
  readonly by: number;
  readonly after: number;
  readonly again: boolean;
  readonly term: number;
  readonly type: Kind;
  readonly n: number;
}
const move: fc.Arbitrary<Move> = fc.record({
  by: fc.constantFrom(...names),
  after: fc.nat({ max: 60 }),
  again: fc.boolean(),
  term: fc.nat({ max: 2 }),
  n: fc.nat({ max: 3 }),
  type: fc.constantFrom<Kind>(
    'observe',
    'observe',
    'acquireLease',
    'acquireLease',
    'renewLease',
    'releaseLease',
    'changeIntent',
    'publish',
    'publish',
    'judge',
    'writeRelation',
    'removeRelation',
    'removeUnit',
    'writeBag',
    'leave',
  ),
});

class World {
  store: MemoryStore = emptyStore(200);
  now = 0;
  readonly seats = new Map<number, Seat>();
  readonly terms: Leadership[] = [];

  seat(number: number): Seat {
    return (
      this.seats.get(number) ??
      seatOf({ unit: `pgbouncer/${number}` as UnitName, nonce: `n${number}` as Nonce, boot: 1, instances: 2 })
    );
  }
  ask<K extends Kind>(number: number, request: Request<K>): Replies[K] {
    const { store, seat, reply } = step(this.store, this.seat(number), request, this.now);
    this.store = store;
    this.seats.set(number, seat);
    return reply;
  }
  requestOf({ type, term, n, by }: Move): Request {
    const nobody = { epoch: 0 as Epoch, nonce: 'x' as Nonce, holder: 'pgbouncer/0' as UnitName, until: 0 };
    const leadership = this.terms.at(-1 - term) ?? nobody;
    switch (type) {
      case 'observe':
        return { type };
      case 'acquireLease':
        return { type, ttl };
      case 'renewLease':
        return { type, leadership, ttl };
      case 'releaseLease':
        return {
          type,
          leadership,
          successor: n === 0 ? null : (`pgbouncer/${n - 1}` as UnitName),
          reserve: 30 as Millis,
        };
      case 'changeIntent':
        return {
          type,
          next: intentOf({ version: (this.store.intent?.version ?? 0) + (n === 0 ? 2 : 1), author: `u${by}` }),
        };
      case 'publish': {
        const after = ((this.store.generations.at(-1)?.version ?? 0) - (n === 0 ? 1 : 0)) as Generation;
        return {
          type,
          leadership,
          after,
          spec: specOf({ options: { n } }),
          about: { intentVersion: n, reason: '' },
          at: 0 as WallMs,
        };
      }
      case 'judge':
        return { type, leadership, verdict: { covers: n, good: null, refused: null } };
      case 'writeRelation':
        return { type, leadership, record: recordOf({ id: n as RelationId, name: `by ${by}` }) };
      case 'removeRelation':
        return { type, leadership, id: n as RelationId };
      case 'removeUnit':
        return { type, leadership, unit: `pgbouncer/${n}` as UnitName };
      case 'writeBag':
        return { type, bag: bagOf({ pid: n }) };
      case 'leave':
        return { type, how: n === 0 ? 'departed' : 'down' };
    }
  }
}

/** Plays a history, and hands every step to the check. */
const play = (
  history: readonly Move[],
  check: (step: {
    readonly world: World;
    readonly before: MemoryStore;
    readonly request: Request;
    readonly reply: Replies[Kind];
    readonly by: Seat;
  }) => void,
): World => {
  const world = new World();
  for (const next of history) {
    world.now += next.after;
    const request = world.requestOf(next);
    for (let i = 0; i < (next.again ? 2 : 1); i += 1) {
      const before = world.store;
      const by = world.seat(next.by);
      const reply = world.ask(next.by, request);
      if (request.type === 'acquireLease' && reply.kind === 'granted') {
        world.terms.push({ epoch: reply.epoch, nonce: by.nonce, holder: by.unit, until: 0 });
      }
      check({ world, before, request, reply, by });
    }
  }
  return world;
};

const histories = fc.array(move, { minLength: 20, maxLength: 120, size: 'max' });
const holds = (property: (history: readonly Move[]) => void): void =>
  fc.assert(fc.property(histories, property), { numRuns: 300 });

describe('over any history', () => {
  it('epochs and generations only rise, and each epoch has one holder', () => {
    holds((history) => {
      const holders = new Map<number, Nonce>();
      play(history, ({ world: { store }, before }) => {
        expect(store.lease.epoch).toBeGreaterThanOrEqual(before.lease.epoch);
        expect(store.generations.at(-1)?.version ?? 0).toBeGreaterThanOrEqual(before.generations.at(-1)?.version ?? 0);
        const { epoch, nonce } = store.lease;
        if (nonce !== null) {
          expect(holders.get(epoch) ?? nonce).toBe(nonce);
          holders.set(epoch, nonce);
        }
      });
    });
  });

  it('leader data changes only under the lease that is held at that moment', () => {
    holds((history) => {
      play(history, ({ world: { store, now }, before, request }) => {
        const changed =
          store.generations !== before.generations ||
          store.verdict !== before.verdict ||
          store.relations !== before.relations;
        if (!changed) return;
        if (!('leadership' in request)) return expect.unreachable(`${request.type} changed leader data`);
        const { lease } = before;
        expect([request.leadership.epoch, request.leadership.nonce]).toEqual([lease.epoch, lease.nonce]);
        expect(lease.expiresAt).toBeGreaterThan(now);
      });
    });
  });

  it('the lease passes to another only when it has ended', () => {
    holds((history) => {
      play(history, ({ world: { store, now }, before }) => {
        if (store.lease.nonce === before.lease.nonce || before.lease.nonce === null) return;
        expect(before.lease.expiresAt).toBeLessThanOrEqual(now);
      });
    });
  });

  it('the same write again changes nothing and gets the same answer', () => {
    holds((history) => {
      const world = new World();
      for (const next of history) {
        world.now += next.after;
        const request = world.requestOf(next);
        const reply = world.ask(next.by, request);
        if (request.type === 'acquireLease' && reply.kind === 'granted') {
          const { unit: holder, nonce } = world.seat(next.by);
          world.terms.push({ epoch: reply.epoch, nonce, holder, until: 0 });
        }
        const after = world.store;
        const again = world.ask(next.by, request);
        expect(world.store.revision).toBe(after.revision);
        if (request.type !== 'observe') expect(same(again, reply)).toBe(true);
      }
    });
  });

  it('what a write was told is committed is what everybody reads next', () => {
    holds((history) => {
      play(history, ({ world, request, reply }) => {
        if (reply.kind !== 'committed') return;
        const { store } = world;
        if (request.type === 'changeIntent') expect(store.intent?.value).toEqual(request.next);
        if (request.type === 'judge') expect(store.verdict?.value).toEqual(request.verdict);
        if (request.type === 'writeRelation')
          expect(same(store.relations.get(request.record.id)?.value, request.record)).toBe(true);
        if (request.type === 'removeRelation') expect(store.relations.has(request.id)).toBe(false);
        if (request.type === 'removeUnit') expect(store.members.has(request.unit)).toBe(false);
      });
    });
  });

  it('whatever others may see differently moves the revision, so that they are hinted', () => {
    holds((history) => {
      play(history, ({ world: { store }, before }) => {
        const seen = ({ intent, generations, verdict, relations, bags }: MemoryStore) => [
          intent,
          generations,
          verdict,
          relations,
          bags,
        ];
        const moved =
          seen(store).some((value, index) => value !== seen(before)[index]) || store.lease.epoch !== before.lease.epoch;
        if (moved) expect(store.revision).toBeGreaterThan(before.revision);
      });
    });
  });
});

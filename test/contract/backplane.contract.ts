import { afterEach, beforeEach, describe, expect, it as test, type TestFunction } from 'vitest';
import type { Generation, Millis, RelationId, WallMs } from '../../src/actors/model/ids.ts';
import { unitNameOf } from '../../src/actors/model/ids.ts';
import type { Intent } from '../../src/actors/model/intent.ts';
import { same } from '../../src/actors/model/same.ts';
import { Secret } from '../../src/actors/model/secret.ts';
import type { Memory } from '../../src/actors/model/snapshot.ts';
import { bagOf, clientOf, intentOf, recordOf, specOf, userOf } from '../support/builders.ts';
import { type Fleet, lead, seenBy, ttl } from './backplane-fleets.ts';

const first = 0 as Generation;
const about = { intentVersion: 1, reason: 'options changed' };
const verdict = { covers: 1, good: { generation: 1 as Generation, intentVersion: 1, options: {} }, refused: null };

/** How an adapter differs from the others: what is promised here and not there is skipped, and the reason printed. */
interface Differences {
  /** What a write that was taken is answered. */
  readonly kept?: 'committed' | 'staged';
  /** Why a test does not hold, by its title. */
  readonly except?: Readonly<Record<string, string>>;
}

const promising = (except: Differences['except'] = {}) => {
  const left = new Set(Object.keys(except));
  return {
    it: (title: string, run: TestFunction): void => {
      const reason = except[title];
      left.delete(title);
      test(title, reason === undefined ? run : ({ skip }) => skip(reason));
    },
    /** An exception from a test that there is not would hide one that there is. */
    allAreKnown: (): void => test('makes no exception from what is not promised', () => expect([...left]).toEqual([])),
  };
};

/** What every backplane promises to a unit, alone or not. */
export const backplaneContract = (
  createFleet: () => Promise<Fleet>,
  { kept = 'committed', except }: Differences = {},
): void => {
  const { it, allAreKnown } = promising(except);
  let fleet: Fleet;
  beforeEach(async () => {
    fleet = await createFleet();
  });
  afterEach(() => fleet.end());

  describe('reading', () => {
    it('shows an empty store as knowledge, with the reader as its only live unit', async () => {
      const zero = await fleet.start(0, { instances: 3 });
      const { units, ...rest } = await seenBy(zero);
      expect(rest).toEqual({
        lease: { holder: null, nonce: null, epoch: 0, freeInMs: 0 },
        intent: null,
        published: null,
        verdict: { covers: 0, good: null, refused: null },
        relations: [],
        damaged: [],
      });
      const [record, ...others] = units;
      expect(others).toEqual([]);
      expect(record).toMatchObject({ unit: zero.unit, nonce: zero.nonce, instances: 3, presence: 'live', bag: null });
    });

    it('hands out the same objects until they change', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      await zero.publish(await lead(zero), first, specOf(), about);
      const before = await seenBy(zero);
      const after = await seenBy(zero);
      expect(after.published).toBe(before.published);
    });

    it('hints that something changed, once disposed no more', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const hinted = Promise.withResolvers<void>();
      const hints = zero.onHint(hinted.resolve);
      await zero.writeBag(bagOf());
      await hinted.promise;
      hints[Symbol.dispose]();
      await seenBy(zero);
      using _late = zero.onHint(() => {});
      const wrong = zero.onHint(() => expect.unreachable('a disposed listener heard a hint'));
      wrong[Symbol.dispose]();
      await zero.writeBag(bagOf({ message: 'x' }));
      expect((await seenBy(zero)).units[0]?.bag?.message).toBe('x');
    });
  });

  describe('the lease', () => {
    it('is granted when it is free, and asking again gives the same epoch for another full ttl', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      expect(leadership.epoch).toBe(1);
      await fleet.pass(40_000);
      expect((await lead(zero)).epoch).toBe(1);
      await fleet.pass(40_000);
      const { lease } = await seenBy(zero);
      expect(lease).toMatchObject({ holder: zero.unit, nonce: zero.nonce, epoch: 1 });
      expect(lease.freeInMs).toBeGreaterThan(0);
      expect(lease.freeInMs).toBeLessThanOrEqual(10_000);
    });

    it('is prolonged while it lasts, and never revived', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      await fleet.pass(40_000);
      expect(await zero.renewLease(leadership, ttl)).toEqual({ kind: 'renewed' });
      await fleet.pass(40_000);
      expect(await zero.renewLease(leadership, ttl)).toEqual({ kind: 'renewed' });
      await fleet.pass(50_010);
      expect(await zero.renewLease(leadership, ttl)).toEqual({ kind: 'lost' });
      expect((await seenBy(zero)).lease).toEqual({ holder: null, nonce: null, epoch: 1, freeInMs: 0 });
      expect((await lead(zero)).epoch).toBe(2);
    });

    it('is free at once when it is handed back, and handing it back twice does nothing more', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      await zero.releaseLease(leadership, null, 300 as Millis);
      await zero.releaseLease(leadership, null, 300 as Millis);
      expect((await seenBy(zero)).lease.holder).toBeNull();
      const next = await lead(zero);
      expect(next.epoch).toBe(2);
      await zero.releaseLease(leadership, null, 300 as Millis);
      expect((await seenBy(zero)).lease).toMatchObject({ holder: zero.unit, epoch: 2 });
    });

    it('is not for a process that has not joined', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const again = await fleet.start(0);
      expect(await again.acquireLease(ttl)).toMatchObject({ kind: 'held', by: again.unit });
      await seenBy(again);
      expect((await lead(again)).epoch).toBe(1);
    });
  });

  describe('the intent', () => {
    it('is replaced version by version, and the same change twice is one', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const one = intentOf();
      expect(await zero.changeIntent(one)).toEqual({ kind: kept });
      expect(await zero.changeIntent(one)).toEqual({ kind: kept });
      expect(same((await seenBy(zero)).intent, one)).toBe(true);
      const two = intentOf({ version: 2, options: { pool_mode: 'transaction' } });
      expect(await zero.changeIntent(two)).toEqual({ kind: kept });
      expect(same((await seenBy(zero)).intent, two)).toBe(true);
      expect(await zero.changeIntent(two)).toEqual({ kind: kept });
    });

    it('is not replaced from a version that is not the present one', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      expect(await zero.changeIntent(intentOf({ version: 2 }))).toEqual({ kind: 'conflict' });
      await zero.changeIntent(intentOf());
      const rival = intentOf({ author: 'bob' });
      expect(await zero.changeIntent(rival)).toEqual({ kind: 'conflict' });
      expect((await seenBy(zero)).intent?.author).toBe('alice');
    });

    it('keeps every kind of value', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const intent: Intent = intentOf({
        at: 1_700_000_000_123 as WallMs,
        reason: 'ü "quoted" \\ \u0000 \u2028 🐘',
        options: {
          login_notify_message: 'ü "quoted" 🐘',
          server_reset_query: '',
          max_db_connections: 0,
          query_timeout: 0.5,
          server_fast_close: true,
        },
        clients: { 'a-b': clientOf({ extraUserRoles: ['createdb', 'createrole'] }) },
      });
      expect(await zero.changeIntent(intent)).toEqual({ kind: kept });
      const again = await fleet.start(0);
      expect(same((await seenBy(again)).intent, intent)).toBe(true);
    });
  });

  describe('generations', () => {
    it('are published one after the other, and the same publication twice is one', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      const spec = specOf({ users: [userOf('orders', 'SCRAM-SHA-256$4096:YQ==$Yg==:Yw==')] });
      const published = await zero.publish(leadership, first, spec, about);
      if (!('published' in published)) return expect.unreachable(published.kind);
      expect(published.published).toMatchObject({
        generation: 1,
        epoch: leadership.epoch,
        author: zero.unit,
        ...about,
      });
      expect(same(published.published.spec, spec)).toBe(true);
      const again = await zero.publish(leadership, first, spec, about);
      expect(same(again, published)).toBe(true);
      expect(same((await seenBy(zero)).published, published.published)).toBe(true);
      const next = await zero.publish(leadership, 1 as Generation, specOf({ options: { listen_port: 1 } }), about);
      expect(next).toMatchObject({ kind: kept, published: { generation: 2 } });
      expect((await seenBy(zero)).published?.generation).toBe(2);
      const late = await zero.publish(leadership, first, spec, about);
      expect(same(late, published)).toBe(true);
      expect((await seenBy(zero)).published?.generation).toBe(2);
    });

    it('have the same digest for the same spec, whatever the order of its keys', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      const digests: string[] = [];
      for (const [after, options] of [
        { a: 1, b: 2 },
        { b: 2, a: 1 },
        { a: 1, b: 3 },
      ].entries()) {
        const result = await zero.publish(leadership, after as Generation, specOf({ options }), about);
        if ('published' in result) digests.push(result.published.digest);
      }
      expect(digests).toHaveLength(3);
      expect(digests[1]).toBe(digests[0]);
      expect(digests[2]).not.toBe(digests[0]);
    });

    it('are not published after another than the newest', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      expect(await zero.publish(leadership, 3 as Generation, specOf(), about)).toEqual({ kind: 'conflict' });
      await zero.publish(leadership, first, specOf(), about);
      const other = specOf({ options: { listen_port: 7 } });
      expect(await zero.publish(leadership, first, other, about)).toEqual({ kind: 'conflict' });
    });

    it('go on beyond the number of those that are kept', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      for (let after = 0; after < 53; after += 1) {
        const spec = specOf({ options: { listen_port: after } });
        expect((await zero.publish(leadership, after as Generation, spec, about)).kind).toBe(kept);
      }
      expect((await seenBy(zero)).published?.generation).toBe(53);
    });

    it('are judged, and the same verdict twice is one', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      expect(await zero.judge(leadership, verdict)).toEqual({ kind: kept });
      expect(await zero.judge(leadership, verdict)).toEqual({ kind: kept });
      const refusing = { ...verdict, refused: { intentVersion: 2, reason: 'does not prove' } };
      expect(await zero.judge(leadership, refusing)).toEqual({ kind: kept });
      expect((await seenBy(zero)).verdict).toEqual(refusing);
      expect(await zero.judge(leadership, verdict)).toEqual({ kind: kept });
      expect((await seenBy(zero)).verdict).toEqual(verdict);
    });
  });

  describe('relations', () => {
    it('are written, changed and removed, each as often as asked', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      const created = recordOf({ provisioned: false });
      const served = recordOf({ databag: { username: 'u', password: new Secret('p') } });
      for (const record of [created, created, served, served]) {
        expect(await zero.writeRelation(leadership, record)).toEqual({ kind: kept });
        expect(same((await seenBy(zero)).relations, [record])).toBe(true);
      }
      expect(await zero.removeRelation(leadership, served.id)).toEqual({ kind: kept });
      expect(await zero.removeRelation(leadership, served.id)).toEqual({ kind: kept });
      expect((await seenBy(zero)).relations).toEqual([]);
    });

    it('are written without a reading in between', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      for (const name of ['a', 'b', 'c']) {
        expect(await zero.writeRelation(leadership, recordOf({ name }))).toEqual({ kind: kept });
      }
      expect(await zero.removeRelation(leadership, recordOf().id)).toEqual({ kind: kept });
      expect(await zero.writeRelation(leadership, recordOf({ id: 9 as RelationId }))).toEqual({ kind: kept });
      expect((await seenBy(zero)).relations.map(({ id }) => id)).toEqual([9]);
    });
  });

  describe('the databag', () => {
    it('is written by its unit, and the same bag twice is one', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const bag = bagOf({
        instances: [{ id: 1, pid: 7, state: 'serving', version: '1.18.0' }],
        waits: [{ id: 'leader', kind: 'waiting', message: 'no unit leads', sinceWallMs: 12.5, on: 'units' }],
      });
      expect(await zero.writeBag(bag)).toEqual({ kind: kept });
      expect(await zero.writeBag(bag)).toEqual({ kind: kept });
      expect((await seenBy(zero)).units[0]?.bag).toEqual(bag);
      expect(await zero.writeBag(bagOf({ message: 'x' }))).toEqual({ kind: kept });
      expect(await zero.writeBag(bag)).toEqual({ kind: kept });
      expect((await seenBy(zero)).units[0]?.bag).toEqual(bag);
    });

    it('is not written before the unit has joined', async () => {
      const zero = await fleet.start(0);
      expect(await zero.writeBag(bagOf())).toEqual({ kind: 'conflict' });
    });
  });

  describe('leaving', () => {
    it('as down keeps number, instances and databag, until the next process lives again', async () => {
      const zero = await fleet.start(0, { instances: 2 });
      await seenBy(zero);
      await zero.writeBag(bagOf());
      await zero.leave('down');
      await zero.leave('down');
      await fleet.pass(1_000);
      expect((await seenBy(zero)).units).toMatchObject([{ presence: 'down', instances: 2, bag: { status: 'active' } }]);
      const again = await fleet.start(0, { instances: 4 });
      expect((await seenBy(again)).units).toMatchObject([{ presence: 'live', instances: 4, nonce: again.nonce }]);
    });

    it('as departed gives everything up, and the process does not come back', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      await zero.leave('departed');
      await zero.leave('departed');
      expect(await zero.observe()).toEqual({ kind: 'refused', reason: `${zero.unit} has left the fleet` });
    });
  });

  describe('what the state directory knows', () => {
    it('is nothing at first', async () => {
      const zero = await fleet.start(0);
      expect(await zero.recall()).toEqual({
        memory: { verified: null, waits: [] },
        intent: null,
        published: null,
        epoch: 0,
        losses: [],
      });
    });

    it('is, after a restart, what was remembered and what was last heard', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      const intent = intentOf();
      await zero.changeIntent(intent);
      const spec = specOf({ users: [userOf('orders', 'SCRAM-SHA-256$1')] });
      const result = await zero.publish(leadership, first, spec, about);
      if (!('published' in result)) return expect.unreachable(result.kind);
      const memory: Memory = { verified: result.published, waits: [{ id: 'leader', sinceWallMs: 1_700_000_000_000 }] };
      await zero.remember(memory);
      await zero.remember(memory);
      await zero[Symbol.asyncDispose]();
      const recalled = await (await fleet.start(0)).recall();
      expect(same(recalled, { memory, intent, published: result.published, epoch: leadership.epoch, losses: [] })).toBe(
        true,
      );
    });
  });

  it('ends the lease of the process that its restart replaces, and goes on with all it held', async () => {
    const zero = await fleet.start(0);
    await seenBy(zero);
    const leadership = await lead(zero);
    await zero.changeIntent(intentOf());
    await zero.publish(leadership, first, specOf(), about);
    await zero.judge(leadership, verdict);
    await zero.writeRelation(leadership, recordOf());
    const again = await fleet.start(0);
    const snapshot = await seenBy(again);
    expect(snapshot.lease.holder).toBeNull();
    expect(snapshot.lease.epoch).toBe(1);
    expect(snapshot.intent?.version).toBe(1);
    expect(snapshot.published?.generation).toBe(1);
    expect(snapshot.verdict).toEqual(verdict);
    expect(same(snapshot.relations, [recordOf()])).toBe(true);
    const next = await lead(again);
    expect(next.epoch).toBe(2);
    expect(await again.writeRelation(next, recordOf({ provisioned: false }))).toEqual({ kind: kept });
    expect(await again.publish(next, 1 as Generation, specOf(), about)).toMatchObject({ kind: kept });
    expect(await again.judge(next, { ...verdict, covers: 2 })).toEqual({ kind: kept });
  });

  allAreKnown();
};

/** What holds beside that when several units share a store. */
export const sharedBackplaneContract = (createFleet: () => Promise<Fleet>): void => {
  let fleet: Fleet;
  beforeEach(async () => {
    fleet = await createFleet();
  });
  afterEach(() => fleet.end());

  test('shows every unit to every unit, in the order of their numbers', async () => {
    const units = [];
    for (const number of [10, 2, 0]) {
      const unit = await fleet.start(number);
      await seenBy(unit);
      await unit.writeBag(bagOf({ pid: number }));
      units.push(unit);
    }
    for (const unit of units) {
      const roster = (await seenBy(unit)).units;
      expect(roster.map((record) => [record.unit, record.bag?.pid])).toEqual(
        [0, 2, 10].map((number) => [unitNameOf(fleet.application, number), number]),
      );
    }
  });

  test('tells live, silent and down units apart', async () => {
    const zero = await fleet.start(0);
    const one = await fleet.start(1);
    await seenBy(zero);
    await seenBy(one);
    const presenceOfOne = async () => (await seenBy(zero)).units[1];
    expect(await presenceOfOne()).toMatchObject({ presence: 'live' });
    await fleet.pass(35_000);
    expect(await presenceOfOne()).toMatchObject({ presence: 'live' });
    await fleet.pass(6_000);
    const silent = await presenceOfOne();
    expect(silent?.presence).toBe('silent');
    expect(silent?.silentMs).toBeGreaterThanOrEqual(41_000);
    await seenBy(one);
    expect(await presenceOfOne()).toMatchObject({ presence: 'live' });
    await one.leave('down');
    expect(await presenceOfOne()).toMatchObject({ presence: 'down' });
    await seenBy(one); // Still reads, and stays down.
    expect(await presenceOfOne()).toMatchObject({ presence: 'down' });
  });

  test('hints to the other units what one of them did', async () => {
    const zero = await fleet.start(0);
    const one = await fleet.start(1);
    await seenBy(zero);
    await seenBy(one);
    await seenBy(zero);
    const leadership = await lead(zero);
    await seenBy(one);
    const deeds: readonly (() => Promise<unknown>)[] = [
      () => zero.changeIntent(intentOf()),
      () => zero.publish(leadership, first, specOf(), about),
      () => zero.judge(leadership, verdict),
      () => zero.writeRelation(leadership, recordOf()),
      () => zero.removeRelation(leadership, recordOf().id),
      () => zero.writeBag(bagOf()),
      () => zero.releaseLease(leadership, null, 0 as Millis),
      () => zero.leave('down'),
    ];
    for (const deed of deeds) {
      const { promise, resolve } = Promise.withResolvers<void>();
      using _hints = one.onHint(resolve);
      await deed();
      await promise;
      await seenBy(one);
    }
  });

  describe('two processes of one unit', () => {
    test('on two machines: the second is refused while the first lives, and may have the name when it is dead', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      const double = await fleet.start(0, { elsewhere: true });
      expect(await double.observe()).toMatchObject({ kind: 'refused' });
      expect(await double.writeBag(bagOf())).toEqual({ kind: 'fenced' });
      expect(await double.acquireLease(ttl)).toMatchObject({ kind: 'held', by: zero.unit });
      expect(await zero.renewLease(leadership, ttl)).toEqual({ kind: 'renewed' });
      await fleet.pass(40_010);
      expect(await double.observe()).toMatchObject({ kind: 'observed' });
      expect(await zero.observe()).toMatchObject({ kind: 'refused' });
    });

    test('on one machine: the later start replaces the earlier one at once', async () => {
      const earlier = await fleet.start(0);
      await seenBy(earlier);
      const leadership = await lead(earlier);
      const later = await fleet.start(0);
      await seenBy(later);
      expect(await earlier.observe()).toMatchObject({ kind: 'refused' });
      expect(await earlier.writeBag(bagOf())).toEqual({ kind: 'fenced' });
      expect(await earlier.renewLease(leadership, ttl)).toEqual({ kind: 'lost' });
      await earlier.leave('departed');
      expect((await seenBy(later)).units).toMatchObject([{ nonce: later.nonce, presence: 'live' }]);
    });
  });

  describe('the lease', () => {
    test('is held by one at a time, and the others hear for how long', async () => {
      const zero = await fleet.start(0);
      const one = await fleet.start(1);
      await seenBy(zero);
      await seenBy(one);
      await lead(zero);
      await fleet.pass(10_000);
      const refused = await one.acquireLease(ttl);
      if (refused.kind !== 'held') return expect.unreachable(refused.kind);
      expect(refused.by).toBe(zero.unit);
      expect(refused.freeInMs).toBeGreaterThan(30_000);
      expect(refused.freeInMs).toBeLessThanOrEqual(40_000);
      expect((await seenBy(one)).lease).toMatchObject({ holder: zero.unit, nonce: zero.nonce, epoch: 1 });
      await fleet.pass(40_010);
      expect((await lead(one)).epoch).toBe(2);
    });

    test('goes to the named successor first, and after its time to anybody', async () => {
      const [zero, one, two] = await Promise.all([0, 1, 2].map((number) => fleet.start(number)));
      if (zero === undefined || one === undefined || two === undefined) return expect.unreachable();
      for (const unit of [zero, one, two]) await seenBy(unit);
      await zero.releaseLease(await lead(zero), one.unit, 30_000 as Millis);
      const reserved = await two.acquireLease(ttl);
      expect(reserved).toMatchObject({ kind: 'held', by: one.unit });
      if (reserved.kind === 'held') expect(reserved.freeInMs).toBeLessThanOrEqual(30_000);
      const next = await lead(one);
      expect(next.epoch).toBe(2);
      await one.releaseLease(next, zero.unit, 30_000 as Millis);
      await fleet.pass(30_010);
      expect((await lead(two)).epoch).toBe(3);
    });

    test('is not handed back by somebody else', async () => {
      const zero = await fleet.start(0);
      const one = await fleet.start(1);
      await seenBy(zero);
      await seenBy(one);
      const leadership = await lead(zero);
      await one.releaseLease({ ...leadership, nonce: one.nonce, holder: one.unit }, null, 0 as Millis);
      expect((await seenBy(one)).lease.holder).toBe(zero.unit);
    });
  });

  test('keeps the intent of whoever was first, and says so to the other', async () => {
    const zero = await fleet.start(0);
    const one = await fleet.start(1);
    await seenBy(zero);
    await seenBy(one);
    const results = await Promise.all([zero.changeIntent(intentOf()), one.changeIntent(intentOf({ author: 'bob' }))]);
    expect(results.map(({ kind }) => kind).toSorted()).toEqual(['committed', 'conflict']);
    const winner = results[0].kind === 'committed' ? 'alice' : 'bob';
    expect((await seenBy(zero)).intent?.author).toBe(winner);
    expect((await seenBy(one)).intent?.author).toBe(winner);
    expect(await one.changeIntent(intentOf({ version: 2, author: 'bob' }))).toEqual({ kind: 'committed' });
    expect(await zero.changeIntent(intentOf({ version: 2 }))).toEqual({ kind: 'conflict' });
    // Zero has not read version 2: what it would replace is not what it saw.
    expect(await zero.changeIntent(intentOf({ version: 3 }))).toEqual({ kind: 'conflict' });
    await seenBy(zero);
    expect(await zero.changeIntent(intentOf({ version: 3 }))).toEqual({ kind: 'committed' });
  });

  test('does not let a new leader overwrite what it has not read', async () => {
    const zero = await fleet.start(0);
    const one = await fleet.start(1);
    await seenBy(zero);
    await seenBy(one);
    const old = await lead(zero);
    await zero.writeRelation(old, recordOf());
    await zero.judge(old, verdict);
    await zero.releaseLease(old, null, 0 as Millis);
    const next = await lead(one);
    expect(await one.writeRelation(next, recordOf({ name: 'stale' }))).toEqual({ kind: 'conflict' });
    expect(await one.removeRelation(next, recordOf().id)).toEqual({ kind: 'conflict' });
    expect(await one.judge(next, { ...verdict, covers: 9 })).toEqual({ kind: 'conflict' });
    await seenBy(one);
    expect(await one.writeRelation(next, recordOf({ name: 'fresh' }))).toEqual({ kind: 'committed' });
    expect(await one.judge(next, { ...verdict, covers: 9 })).toEqual({ kind: 'committed' });
    expect(await one.removeRelation(next, recordOf().id)).toEqual({ kind: 'committed' });
  });

  test('takes a departed unit off the roster, never one that is back', async () => {
    const zero = await fleet.start(0);
    const one = await fleet.start(1);
    await seenBy(zero);
    await seenBy(one);
    await one.writeBag(bagOf());
    const leadership = await lead(zero);
    expect(await zero.removeUnit(leadership, one.unit)).toEqual({ kind: 'conflict' });
    await one.leave('down');
    expect(await zero.removeUnit(leadership, one.unit)).toEqual({ kind: 'committed' });
    expect(await zero.removeUnit(leadership, one.unit)).toEqual({ kind: 'committed' });
    expect((await seenBy(zero)).units.map(({ unit }) => unit)).toEqual([zero.unit]);
    expect(await one.writeBag(bagOf())).toEqual({ kind: 'conflict' });
    expect((await seenBy(one)).units).toMatchObject([
      { unit: zero.unit },
      { unit: one.unit, presence: 'live', bag: null },
    ]);
  });

  test('forgets a unit that departed', async () => {
    const zero = await fleet.start(0);
    const one = await fleet.start(1);
    await seenBy(zero);
    await seenBy(one);
    await one.writeBag(bagOf());
    await one.leave('departed');
    expect((await seenBy(zero)).units.map(({ unit }) => unit)).toEqual([zero.unit]);
    const another = await fleet.start(1);
    expect((await seenBy(another)).units).toMatchObject([{ unit: zero.unit }, { unit: one.unit, bag: null }]);
  });

  test('shows a relation to all units from its creation to its removal', async () => {
    const zero = await fleet.start(0);
    const one = await fleet.start(1);
    await seenBy(zero);
    const leadership = await lead(zero);
    for (let id = 1; id <= 5; id += 1) await zero.writeRelation(leadership, recordOf({ id: id as RelationId }));
    expect((await seenBy(one)).relations.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5]);
    await zero.removeRelation(leadership, 3 as RelationId);
    expect((await seenBy(one)).relations.map(({ id }) => id)).toEqual([1, 2, 4, 5]);
  });
};

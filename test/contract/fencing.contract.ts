import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Epoch, Generation, Millis } from '../../src/actors/model/ids.ts';
import type { Leadership } from '../../src/actors/model/leadership.ts';
import { recordOf, specOf } from '../support/builders.ts';
import { about, type Fleet, lead, seenBy, ttl, type UnitBackplane, verdict } from './backplane-fleets.ts';

/** Whoever does not lead now changes nothing, by no method, whatever it still believes. */
export const fencingContract = (createFleet: () => Promise<Fleet>): void => {
  let fleet: Fleet;
  let zero: UnitBackplane;
  let one: UnitBackplane;
  beforeEach(async () => {
    fleet = await createFleet();
    zero = await fleet.start(0);
    one = await fleet.start(1);
    await seenBy(zero);
    await seenBy(one);
  });
  afterEach(() => fleet.end());

  /** Every write of a leader, with something that is there to be changed. */
  const expectPowerless = async (by: UnitBackplane, leadership: Leadership): Promise<void> => {
    const before = await seenBy(one);
    const next = (before.published?.generation ?? 0) as Generation;
    expect(await by.publish(leadership, next, specOf({ options: { stale: true } }), about)).toEqual({ kind: 'fenced' });
    expect(await by.judge(leadership, { ...verdict, covers: 99 })).toEqual({ kind: 'fenced' });
    expect(await by.writeRelation(leadership, recordOf({ name: 'stale' }))).toEqual({ kind: 'fenced' });
    expect(await by.removeRelation(leadership, recordOf().id)).toEqual({ kind: 'fenced' });
    expect(await by.removeUnit(leadership, one.unit)).toEqual({ kind: 'fenced' });
    expect(await by.renewLease(leadership, ttl)).toEqual({ kind: 'lost' });
    await by.releaseLease(leadership, by.unit, 60_000 as Millis);
    const after = await seenBy(one);
    const { units: _before, lease: held, ...rest } = before;
    expect(after).toMatchObject(rest);
    expect({ ...after.lease, freeInMs: 0 }).toEqual({ ...held, freeInMs: 0 });
  };

  const populate = async (by: UnitBackplane, leadership: Leadership): Promise<void> => {
    expect((await by.publish(leadership, 0 as Generation, specOf(), about)).kind).toBe('committed');
    expect(await by.judge(leadership, verdict)).toEqual({ kind: 'committed' });
    expect(await by.writeRelation(leadership, recordOf())).toEqual({ kind: 'committed' });
  };

  it('refuses a leader whose lease has expired, before and after another one took it', async () => {
    const old = await lead(zero);
    await populate(zero, old);
    await fleet.pass(50_010);
    await expectPowerless(zero, old);
    const next = await lead(one);
    expect(next.epoch).toBe(old.epoch + 1);
    await expectPowerless(zero, old);
    expect(await one.judge(next, { ...verdict, covers: 2 })).toEqual({ kind: 'committed' });
  });

  it('refuses a leader that handed over', async () => {
    const old = await lead(zero);
    await populate(zero, old);
    await zero.releaseLease(old, one.unit, 300 as Millis);
    await expectPowerless(zero, old);
    await lead(one);
    await expectPowerless(zero, old);
  });

  it('refuses a leader that was frozen through the lease of another one', async () => {
    const frozen = await lead(zero);
    await populate(zero, frozen);
    await fleet.pass(50_010);
    const between = await lead(one);
    await one.releaseLease(between, null, 0 as Millis);
    // Nobody leads now; what the frozen one believes is two terms old.
    await expectPowerless(zero, frozen);
    const back = await lead(zero);
    expect(back.epoch).toBe(frozen.epoch + 2);
    await expectPowerless(zero, frozen);
    await seenBy(zero);
    expect(await zero.judge(back, { ...verdict, covers: 3 })).toEqual({ kind: 'committed' });
  });

  it('refuses the right epoch with another nonce, and the right nonce with another epoch', async () => {
    const leadership = await lead(zero);
    await populate(zero, leadership);
    await expectPowerless(one, { ...leadership, nonce: one.nonce, holder: one.unit });
    await expectPowerless(zero, { ...leadership, epoch: (leadership.epoch + 1) as Epoch });
    await expectPowerless(zero, { ...leadership, epoch: (leadership.epoch - 1) as Epoch });
  });

  it('refuses an earlier process of the unit that leads now', async () => {
    const old = await lead(zero);
    await populate(zero, old);
    const restarted = await fleet.start(0);
    await seenBy(restarted);
    await expectPowerless(zero, old);
    const next = await lead(restarted);
    await expectPowerless(zero, old);
    await expectPowerless(zero, { ...next, nonce: old.nonce });
  });

  it('tells a deposed leader that what it had written before it was deposed is there', async () => {
    const old = await lead(zero);
    const published = await zero.publish(old, 0 as Generation, specOf(), about);
    await zero.judge(old, verdict);
    await zero.writeRelation(old, recordOf());
    await fleet.pass(50_010);
    await lead(one);
    expect(await zero.publish(old, 0 as Generation, specOf(), about)).toEqual(published);
    expect(await zero.judge(old, verdict)).toEqual({ kind: 'committed' });
    expect(await zero.writeRelation(old, recordOf())).toEqual({ kind: 'committed' });
  });

  it('gives each term its own epoch, however the lease changes hands', async () => {
    const epochs: number[] = [];
    for (let term = 0; term < 6; term += 1) {
      const holder = term % 2 === 0 ? zero : one;
      const leadership = await lead(holder);
      epochs.push(leadership.epoch);
      if (term % 3 === 0) await holder.releaseLease(leadership, null, 0 as Millis);
      else await fleet.pass(50_010);
    }
    expect(epochs).toEqual([1, 2, 3, 4, 5, 6]);
  });

  describe('a contender', () => {
    it('that asks while the lease is held changes nothing, however often', async () => {
      const leadership = await lead(zero);
      for (let i = 0; i < 5; i += 1) expect(await one.acquireLease(ttl)).toMatchObject({ kind: 'held', by: zero.unit });
      expect(await zero.renewLease(leadership, ttl)).toEqual({ kind: 'renewed' });
    });
  });
};

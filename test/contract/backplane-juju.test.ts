import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Generation, Millis } from '../../src/actors/model/ids.ts';
import { unitNameOf } from '../../src/actors/model/ids.ts';
import { Secret } from '../../src/actors/model/secret.ts';
import { same } from '../../src/actors/model/same.ts';
import { bagOf, recordOf, specOf, userOf } from '../support/builders.ts';
import { backplaneContract } from './backplane.contract.ts';
import { type JujuFleet, jujuFleet, lead, seenBy } from './backplane-fleets.ts';

const ofJuju = 'Juju gives leadership and takes it, without a lease of ours';
const asked = 'the operator asks with juju config and juju integrate, so the intent is made from those';

describe('the backplane on Juju', () => {
  describe('for each unit', () =>
    backplaneContract(jujuFleet, {
      kept: 'staged',
      except: {
        'shows an empty store as knowledge, with the reader as its only live unit':
          'options always have values, so there is an intent from the first hook on',
        'is granted when it is free, and asking again gives the same epoch for another full ttl': ofJuju,
        'is prolonged while it lasts, and never revived': ofJuju,
        'is free at once when it is handed back, and handing it back twice does nothing more': ofJuju,
        'is not for a process that has not joined': ofJuju,
        'ends the lease of the process that its restart replaces, and goes on with all it held': ofJuju,
        'is replaced version by version, and the same change twice is one': asked,
        'is not replaced from a version that is not the present one': asked,
        'keeps every kind of value': asked,
        'is, after a restart, what was remembered and what was last heard': asked,
      },
    }));

  let fleet: JujuFleet;
  beforeEach(async () => {
    fleet = await jujuFleet();
  });
  afterEach(() => fleet.end());

  const first = 0 as Generation;
  const about = { intentVersion: 1, reason: 'options changed' };
  const spec = specOf({ users: [userOf('orders', 'SCRAM-SHA-256$4096:YQ==$Yg==:Yw==')] });
  const verdict = { covers: 1, good: null, refused: null };
  const appBag = () => fleet.juju.bagOf(fleet.juju.peers?.id ?? 0, `${fleet.application}/`);
  const unitBag = (number: number) => fleet.juju.bagOf(fleet.juju.peers?.id ?? 0, `${fleet.application}/${number}`);

  describe('a leader', () => {
    it('shares what it wrote with every unit once its dispatch has ended well, and nothing of it before', async () => {
      const zero = await fleet.dispatch(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      await zero.publish(leadership, first, spec, about);
      await zero.judge(leadership, verdict);
      await zero.writeRelation(leadership, recordOf({ databag: { password: new Secret('hidden-password') } }));
      await zero.writeBag(bagOf());
      expect(appBag()).toEqual({});
      const one = await fleet.dispatch(1);
      const { lease, intent, published, relations, units } = await seenBy(one);
      expect(lease).toMatchObject({ holder: zero.unit, nonce: zero.nonce, epoch: leadership.epoch });
      expect(intent?.version).toBe(1);
      expect(published?.generation).toBe(1);
      expect(same(published?.spec, spec)).toBe(true);
      expect(same(relations, [recordOf({ databag: { password: new Secret('hidden-password') } })])).toBe(true);
      expect(units.map(({ unit }) => unit)).toEqual([zero.unit, one.unit]);
      expect(await one.acquireLease(1 as Millis)).toMatchObject({ kind: 'held', by: zero.unit });
    });

    it('writes no secret in clear', async () => {
      const zero = await fleet.dispatch(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      await zero.publish(leadership, first, spec, about);
      const record = recordOf({ databag: { password: new Secret('hidden-password') } });
      await zero.writeRelation(leadership, record);
      await fleet.end();
      const text = JSON.stringify([appBag(), unitBag(0), [...fleet.juju.states]]);
      for (const secret of [
        'hidden-password',
        'YQ==',
        record.account.password.reveal(),
        record.account.verifier.reveal(),
      ])
        expect(text).not.toContain(secret);
    });

    it('leaves nothing behind when its dispatch fails, and the same hook again comes to the same', async () => {
      const zero = await fleet.dispatch(0, { leaderElected: true });
      await seenBy(zero);
      const { epoch } = await lead(zero);
      await fleet.end('failed');
      expect(appBag()).toEqual({});
      expect(fleet.juju.secrets.size).toBe(0);
      const again = await fleet.dispatch(0, { leaderElected: true });
      await seenBy(again);
      expect((await lead(again)).epoch).toBe(epoch);
    });

    it('has a higher epoch than every one before it, when another unit leads and when it is elected anew', async () => {
      const epochs: number[] = [];
      for (const [number, occasion] of [
        [0, {}],
        [0, {}],
        [1, { leaderElected: true }],
        [1, {}],
        [1, { leaderElected: true }],
        [0, {}],
      ] as const) {
        const unit = await fleet.dispatch(number, occasion);
        fleet.juju.leader = unit.unit;
        await seenBy(unit);
        epochs.push((await lead(unit)).epoch);
      }
      const [start = 0] = epochs;
      expect(epochs.map((epoch) => epoch - start)).toEqual([0, 0, 1, 1, 2, 3]);
    });

    it('begins above the epochs of an application that had its name before', async () => {
      const zero = await fleet.dispatch(0);
      await seenBy(zero);
      const before = await lead(zero);
      await fleet.end();
      await fleet.pass(60_000);
      fleet.juju.remove(fleet.juju.peers?.id ?? 0);
      fleet.juju.states.clear();
      fleet.juju.secrets.clear();
      fleet.juju.addUnit(zero.unit);
      const anew = await fleet.dispatch(0);
      await seenBy(anew);
      expect((await lead(anew)).epoch).toBeGreaterThan(before.epoch);
    });

    it('that Juju deposes during its hook tells its peers of itself, and drops what it decided for the fleet', async () => {
      await seenBy(await fleet.dispatch(1));
      await fleet.end();
      const before = appBag();
      const zero = await fleet.dispatch(0);
      fleet.juju.leader = zero.unit;
      await seenBy(zero);
      const leadership = await lead(zero);
      await zero.publish(leadership, first, spec, about);
      await zero.writeBag(bagOf());
      fleet.juju.leader = unitNameOf(fleet.application, 1);
      await fleet.pass(21_000);
      expect(await zero.judge(leadership, verdict)).toEqual({ kind: 'fenced' });
      expect(await zero.renewLease(leadership, 1 as Millis)).toEqual({ kind: 'lost' });
      await fleet.end();
      expect(appBag()).toEqual(before);
      expect(unitBag(0)).toHaveProperty('troupe-unit');
    });
  });

  describe('the intent', () => {
    it('counts on when options change, and keeps its version while they do not', async () => {
      fleet.juju.config = { pool_mode: 'session', listen_port: 6432, 'expose-external': 'false' };
      const intents = [];
      for (const pool_mode of ['session', 'session', 'transaction']) {
        fleet.juju.config = { ...fleet.juju.config, pool_mode };
        intents.push((await seenBy(await fleet.dispatch(0))).intent);
      }
      expect(intents.map((intent) => intent?.version)).toEqual([1, 1, 2]);
      expect(intents.at(-1)?.options).toEqual({ listen_port: 6432, pool_mode: 'transaction' });
    });

    it('says of an option that cannot be what is wrong with it, and keeps the others', async () => {
      fleet.juju.config = { pool_mode: 'often', listen_port: 6432 };
      const { intent } = await seenBy(await fleet.dispatch(0));
      expect(intent?.options).toEqual({ listen_port: 6432 });
      expect(intent?.unreadable).toMatchObject([{ of: 'options', name: 'pool_mode', stored: 'often' }]);
      expect(intent?.unreadable[0]?.reason).toContain('must be one of session, transaction, statement');
      fleet.juju.config = { pool_mode: 'statement', listen_port: 6432 };
      expect((await seenBy(await fleet.dispatch(0))).intent).toMatchObject({ version: 2, unreadable: [] });
    });

    it('is the stored one for whoever does not lead, whatever its own options say by now', async () => {
      fleet.juju.config = { pool_mode: 'session' };
      await seenBy(await fleet.dispatch(0));
      fleet.juju.config = { pool_mode: 'transaction' };
      expect((await seenBy(await fleet.dispatch(1))).intent?.options).toEqual({ pool_mode: 'session' });
      expect(fleet.calls).not.toContain('config-get');
    });

    it('is not changed by us', async () => {
      const zero = await fleet.dispatch(0);
      const { intent } = await seenBy(zero);
      if (intent === null) return expect.unreachable();
      await expect(zero.changeIntent({ ...intent, version: 2 })).rejects.toThrow(/use juju config and juju integrate/);
    });
  });

  describe('a unit', () => {
    it('remembers in charm state, where its pod may go', async () => {
      const zero = await fleet.dispatch(0);
      await seenBy(zero);
      const result = await zero.publish(await lead(zero), first, spec, about);
      if (!('published' in result)) return expect.unreachable(result.kind);
      const waits = [{ id: 'leader', sinceWallMs: 1_700_000_000_000 }];
      await zero.remember({ verified: result.published, waits });
      const { memory, published } = await (await fleet.dispatch(0)).recall();
      expect(same(memory, { verified: result.published, waits })).toBe(true);
      expect(same(published, result.published)).toBe(true);
    });

    it('that cannot read its charm state says so, and goes on without', async () => {
      await seenBy(await fleet.dispatch(0));
      await fleet.end();
      fleet.juju.states.set(unitNameOf(fleet.application, 0), { memory: '{"waits":7}', relations: '{}' });
      const { memory, losses } = await (await fleet.dispatch(0)).recall();
      expect(memory).toEqual({ verified: null, waits: [] });
      expect(losses).toEqual(['the part "memory" of the charm state could not be read, and is begun anew']);
    });

    it('that is going away leaves everything as it is, though Juju may call it the leader until the end', async () => {
      fleet.juju.config = { pool_mode: 'session' };
      await seenBy(await fleet.dispatch(0));
      fleet.juju.units.add(unitNameOf(fleet.application, 1));
      const before = (await fleet.end(), appBag());
      fleet.juju.config = { pool_mode: 'transaction' };
      const departing = { endpoint: 'database', id: 9 };
      const zero = await fleet.dispatch(0, { departing });
      await seenBy(zero);
      expect(await zero.acquireLease(1 as Millis)).toMatchObject({ kind: 'held' });
      const later = await fleet.dispatch(0);
      await seenBy(later);
      expect(await later.acquireLease(1 as Millis)).toMatchObject({ kind: 'held' });
      await fleet.end();
      expect(appBag()).toEqual(before);
    });

    it('reads each thing once, and writes nothing when nothing changed', async () => {
      fleet.juju.config = { pool_mode: 'session' };
      for (const number of [0, 1, 2]) {
        const unit = await fleet.dispatch(number);
        await seenBy(unit);
        if (number === 0) await lead(unit);
        await unit.writeBag(bagOf());
      }
      // They hear of the units that came after them.
      for (const number of [0, 1]) await seenBy(await fleet.dispatch(number));
      for (const [number, most] of [
        [0, 4],
        [1, 3],
      ] as const) {
        const unit = await fleet.dispatch(number);
        const { memory } = await unit.recall();
        await seenBy(unit);
        await unit.acquireLease(1 as Millis);
        await unit.writeBag(bagOf());
        await unit.remember(memory);
        await seenBy(unit);
        await fleet.end();
        const bags = fleet.calls.filter((call) => call === 'relation-get');
        expect(bags).toHaveLength(4);
        expect(fleet.calls.filter((call) => call !== 'relation-get')).toHaveLength(most);
        expect(fleet.calls.filter((call) => /set|add/.test(call))).toEqual([]);
      }
    });

    it('without its peer relation waits for it, and is not without a memory', async () => {
      const zero = await fleet.dispatch(0);
      fleet.juju.remove(fleet.juju.peers?.id ?? 0);
      await expect(zero.observe()).rejects.toThrow(/the peer relation is not there/);
      const waits = [{ id: 'backplane', sinceWallMs: 1_700_000_000_000 }];
      await zero.remember({ verified: null, waits });
      expect((await (await fleet.dispatch(0)).recall()).memory.waits).toEqual(waits);
    });

    it('is not let in where the key of the fleet is gone, and overwrites nothing', async () => {
      const zero = await fleet.dispatch(0);
      await seenBy(zero);
      await zero.publish(await lead(zero), first, spec, about);
      await fleet.end();
      const before = appBag();
      fleet.juju.secrets.clear();
      const again = await fleet.dispatch(0);
      expect(await again.observe()).toMatchObject({ kind: 'refused' });
      await fleet.end();
      expect(appBag()).toEqual(before);
    });

    it.each(['troupe-lease', 'troupe-intent', 'troupe-fleet', 'troupe-verdict'])(
      'is not let in where somebody wrote nonsense into %s',
      async (key) => {
        const zero = await fleet.dispatch(0);
        await seenBy(zero);
        const leadership = await lead(zero);
        await zero.publish(leadership, first, spec, about);
        await zero.judge(leadership, verdict);
        await fleet.end();
        fleet.juju.peers?.bags.set(`${fleet.application}/`, { ...appBag(), [key]: '{"a":' });
        const observation = await (await fleet.dispatch(0)).observe();
        expect(observation).toMatchObject({ kind: 'refused' });
        expect(observation).toHaveProperty('reason', expect.stringContaining(key));
      },
    );
  });
});

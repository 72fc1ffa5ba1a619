/** What only a store that others can reach has to stand: prying eyes, foreign hands, loss, and units that do not belong. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import {
  type Generation,
  type Millis,
  type Nonce,
  type RelationId,
  type UnitName,
  unitNameOf,
  type WallMs,
} from '../../src/actors/model/ids.ts';
import type { Leadership } from '../../src/actors/model/leadership.ts';
import { same } from '../../src/actors/model/same.ts';
import { Secret } from '../../src/actors/model/secret.ts';
import type { Snapshot } from '../../src/actors/model/snapshot.ts';
import { SealKey } from '../../src/infra/files/seal.ts';
import { digestOf } from '../../src/infra/files/stored-object.ts';
import { MemoryHub, MemoryKeeper, openMemoryBackplane } from '../../src/infra/memory/backplane.ts';
import { backendOf, bagOf, clientOf, intentOf, recordOf, specOf, userOf } from '../support/builders.ts';
import { redisServers, useServer } from '../support/servers.ts';
import {
  about,
  createStandingClock,
  createUser,
  documentedRights,
  lead,
  redisFleet,
  type RedisFleet,
  seenBy,
  ttl,
  type UnitBackplane,
  until,
  verdict,
} from './backplane-fleets.ts';

describe.each(redisServers())('the store on %s', (_, start) => {
  const server = useServer(start);
  let fleet: RedisFleet;
  beforeEach(async () => {
    fleet = await redisFleet(server());
  });
  afterEach(() => fleet.end());

  /** Everything a leader can write, once. */
  const populate = async (by: UnitBackplane, leadership: Leadership): Promise<void> => {
    await by.changeIntent(intentOf());
    await by.publish(leadership, 0 as Generation, specOf(), about);
    await by.judge(leadership, verdict);
    await by.writeRelation(leadership, recordOf());
  };
  /** All keys of the application disappear at once, as by FLUSHALL. */
  const empty = async (): Promise<void> => {
    await fleet.admin.del(...(await fleet.admin.keys(fleet.key('*'))));
  };
  const errors = (): readonly string[] =>
    fleet.log.lines.filter(({ level }) => level === 'error').map(({ message }) => message);

  describe('secrets', () => {
    it('appear in no value, no command, no ledger and no log', async () => {
      const marker = 'planted-7f3a';
      const secret = (n: number) => new Secret(`${marker}-${n}`);
      const seen: string[] = [];
      const monitor = await fleet.admin.monitor();
      monitor.on('monitor', (_time, args: readonly string[]) => seen.push(args.join(' ')));

      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      const account = { username: 'orders', password: secret(1), verifier: secret(2) };
      await zero.changeIntent(intentOf({ backends: { main: backendOf({ password: secret(3) }) } }));
      await zero.writeRelation(leadership, recordOf({ account, databag: { username: 'orders', password: secret(4) } }));
      const spec = specOf({ users: [userOf('orders', secret(5))] });
      const published = await zero.publish(leadership, 0 as Generation, spec, about);
      if (published.kind === 'committed') await zero.remember({ verified: published.published, waits: [] });
      await fleet.admin.ping('the end');
      await until(() => seen.some((line) => line.includes('the end')));
      monitor.disconnect();

      const relevant = seen.filter((line) => line.includes(fleet.application));
      expect(relevant.some((line) => line.includes('$sealed'))).toBe(true);
      const dumps = await Promise.all(
        (await fleet.admin.keys(fleet.key('*'))).map((key) => fleet.admin.dumpBuffer(key)),
      );
      const values = await Promise.all(
        ['intent', 'rel:2', 'gen:1'].map((name) => fleet.admin.hgetall(fleet.key(name))),
      );
      const ledger = join(fleet.stateDir, `${fleet.application}-0`, 'ledger');
      const places = {
        monitor: seen.join('\n'),
        dumps: Buffer.concat(dumps.filter((dump) => dump !== null)).toString('latin1'),
        values: JSON.stringify(values),
        ledger: await readFile(ledger, 'utf8'),
        log: JSON.stringify(fleet.log.lines),
      };
      for (const [place, text] of Object.entries(places)) {
        expect(text.includes(marker), `${place} holds a secret in clear`).toBe(false);
        expect(text.includes(Buffer.from(marker).toString('base64').slice(0, 12)), `${place} holds it encoded`).toBe(
          false,
        );
      }
      expect((await stat(ledger)).mode & 0o777).toBe(0o600);
      expect(same((await seenBy(zero)).relations[0]?.account, account)).toBe(true);
    });

    it('turn away a unit with another key, which leaves no trace in the store', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      await zero.changeIntent(intentOf());
      const other = new SealKey(Buffer.alloc(32, 8));
      const stranger = await fleet.open({ unit: unitNameOf(fleet.application, 1), sealKey: other });
      const answer = await stranger.observe();
      expect(answer).toMatchObject({
        kind: 'refused',
        reason: expect.stringMatching(/sealed with key [0-9a-f]{16}, and this unit has key [0-9a-f]{16}/),
      });
      expect((await seenBy(zero)).units).toHaveLength(1);
      await expect(
        fleet.open({ unit: 'claim', sealKey: other, stateDir: join(fleet.stateDir, 'other') }),
      ).rejects.toThrow(/sealed with key/);
      await empty();
      expect(await stranger.observe()).toMatchObject({ kind: 'refused' });
      expect(await fleet.admin.exists(fleet.key('meta'))).toBe(0);
      expect((await seenBy(zero)).intent?.version).toBe(1);
    });
  });

  it('shows a large fleet exactly as the memory backplane does', async () => {
    const hub = new MemoryHub(createStandingClock());
    const instances = (number: number): number => 1 + (number % 4);
    const inMemory = (number: number): UnitBackplane => {
      const unit = unitNameOf(fleet.application, number);
      const keeper = new MemoryKeeper().started();
      return openMemoryBackplane({ hub, unit, instances: instances(number), nonce: `n${number}` as Nonce, keeper });
    };
    const intent = intentOf({
      nextRelation: 30 as RelationId,
      clients: Object.fromEntries(
        Array.from({ length: 20 }, (_x, i) => [`client-${i}`, clientOf({ id: (i + 2) as RelationId })]),
      ),
    });
    const fill = async (
      open: (number: number) => UnitBackplane | Promise<UnitBackplane>,
    ): Promise<readonly Snapshot[]> => {
      const units: UnitBackplane[] = [];
      for (let number = 0; number < 30; number += 1) {
        const unit = await open(number);
        await seenBy(unit);
        await unit.writeBag(bagOf({ pid: number + 1, address: `127.0.0.${number}:6432` }));
        units.push(unit);
      }
      const [zero] = units;
      if (zero === undefined) throw new Error('no units');
      const leadership = await lead(zero);
      await zero.changeIntent(intent);
      for (let i = 0; i < 20; i += 1) {
        const record = recordOf({
          id: (i + 2) as RelationId,
          name: `client-${i}`,
          databag: { password: new Secret(`p${i}`) },
        });
        await zero.writeRelation(leadership, record);
      }
      await zero.removeRelation(leadership, 5 as RelationId);
      await zero.publish(leadership, 0 as Generation, specOf(), about);
      await zero.publish(leadership, 1 as Generation, specOf({ options: { listen_port: 2 } }), about);
      await zero.judge(leadership, verdict);
      return [await seenBy(zero), await seenBy(units.at(-1) ?? zero)];
    };
    const comparable = ({ lease, units, published, ...rest }: Snapshot): unknown => ({
      ...rest,
      published: published === null ? null : { ...published, at: 0 as WallMs },
      lease: { ...lease, freeInMs: 0, nonce: null },
      units: units.map((record) => ({ ...record, silentMs: 0, nonce: null })),
    });
    const [expected] = await fill(inMemory);
    const shown = await fill((number) => fleet.start(number, { instances: instances(number) }));
    if (expected === undefined) return expect.unreachable();
    expect(expected.relations).toHaveLength(19);
    expect(expected.units).toHaveLength(30);
    for (const snapshot of shown) expect(same(comparable(snapshot), comparable(expected))).toBe(true);
  });

  it('keeps the bodies of the last 50 generations, and of the good one', async () => {
    const zero = await fleet.start(0);
    await seenBy(zero);
    const leadership = await lead(zero);
    await zero.judge(leadership, { ...verdict, good: { generation: 2 as Generation, intentVersion: 1, options: {} } });
    for (let after = 0; after < 54; after += 1) {
      await zero.publish(leadership, after as Generation, specOf({ options: { listen_port: after } }), about);
    }
    const kept = (await fleet.admin.keys(fleet.key('gen:*'))).map((key) => Number(key.split(':').at(-1)));
    expect(kept.toSorted((a, b) => a - b)).toEqual([2, ...Array.from({ length: 50 }, (_x, i) => i + 5)]);
  });

  describe('an idle unit', () => {
    it('sends one command per reading, and one more when something changed', async () => {
      const zero = await fleet.start(0);
      const one = await fleet.start(1);
      await seenBy(one);
      await until(async () => (await seenBy(zero)).units.length === 2);
      const commands: string[] = [];
      let ended = Promise.withResolvers<void>();
      const monitor = await fleet.admin.monitor();
      monitor.on('monitor', (_time, args: readonly string[], source: string) => {
        if (source !== 'lua' && args.join(' ').includes(`{${fleet.application}}`)) commands.push(args[0] ?? '');
        if (args.includes('the end')) ended.resolve();
      });
      const settled = async (): Promise<readonly string[]> => {
        await fleet.admin.ping('the end');
        await ended.promise;
        ended = Promise.withResolvers<void>();
        return commands.splice(0);
      };
      for (let i = 0; i < 10; i += 1) await seenBy(zero);
      expect(await settled()).toEqual(Array.from({ length: 10 }, () => 'evalsha'));
      await one.writeBag(bagOf());
      await settled();
      await seenBy(zero);
      expect((await settled()).length).toBe(2);
      monitor.disconnect();
    });
  });

  describe('units that do not belong', () => {
    it('hear that the password is wrong, and go on asking', async () => {
      const wrong = await fleet.open({ unit: unitNameOf(fleet.application, 3), password: new Secret('wrong') });
      await until(async () => {
        const answer = await wrong.observe().catch(() => null);
        return answer?.kind === 'refused' && answer.reason.includes('refuses this unit');
      });
      await expect(wrong.acquireLease(ttl)).rejects.toThrow(
        /cannot acquire lease: no connection to redis:\/\/.*WRONGPASS/,
      );
    });

    it.each([
      ['http://host', /must look like redis:\/\/host:6379/],
      ['redis://', /must look like/],
      ['nonsense', /must look like/],
      ['redis://user:hunter2@host:6379', /its URL holds a password/],
    ])('are not opened on %s', async (url, reason) => {
      const opening = fleet.open({ url });
      await expect(opening).rejects.toThrow(reason);
      await expect(opening).rejects.not.toThrow(/hunter2/);
    });

    it('go without hints when they may not subscribe', async () => {
      const rights = documentedRights.filter((right) => right !== '+subscribe' && right !== '+publish');
      const user = await createUser(fleet.admin, fleet.application, rights);
      const deaf = await fleet.open({ url: user.urlOn(server()), password: user.password });
      await seenBy(deaf);
      expect(await deaf.changeIntent(intentOf())).toEqual({ kind: 'committed' });
      expect((await seenBy(deaf)).intent?.version).toBe(1);
      expect(fleet.log.lines.map(({ message }) => message)).toContain(
        'no hints from the store: changes are seen by the next beat',
      );
      await user.remove();
    });

    it('cannot touch the keys of another application', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const other = await redisFleet(server());
      const intruder = await createUser(other.admin, other.application);
      const unit = await fleet.open({
        url: intruder.urlOn(server()),
        password: intruder.password,
        unit: unitNameOf(fleet.application, 1),
      });
      await expect(unit.observe()).rejects.toThrow(/NOPERM/);
      expect((await seenBy(zero)).units).toHaveLength(1);
      await intruder.remove();
      await other.end();
    });
  });

  describe('numbers', () => {
    const claim = (stateDir: string) => fleet.open({ unit: 'claim', stateDir });
    const numbers = (units: readonly UnitBackplane[]): readonly UnitName[] => units.map(({ unit }) => unit);
    const named = (...them: readonly number[]) => them.map((number) => unitNameOf(fleet.application, number));

    it('are the lowest free ones, each to one unit, even when all ask at once', async () => {
      await seenBy(await fleet.start(1));
      const units = await Promise.all([0, 1, 2, 3].map((machine) => claim(join(fleet.stateDir, `m${machine}`))));
      expect(numbers(units).toSorted()).toEqual(named(0, 2, 3, 4));
      for (const unit of units) await seenBy(unit);
    });

    it('are those whose folders are here, lowest first, when no live unit holds them', async () => {
      for (const number of [7, 3]) await mkdir(join(fleet.stateDir, `${fleet.application}-${number}`));
      await mkdir(join(fleet.stateDir, `${fleet.application}-x`));
      const first = await claim(fleet.stateDir);
      const second = await claim(fleet.stateDir);
      expect(numbers([first, second])).toEqual(named(3, 7));
    });

    it('come back to a restarted unit, though it seems alive for a while', async () => {
      const before = await claim(fleet.stateDir);
      await seenBy(before);
      await before[Symbol.asyncDispose]();
      const again = claim(fleet.stateDir);
      await delay(300);
      await fleet.pass(40_010);
      expect((await again).unit).toBe(before.unit);
      expect((await seenBy(await again)).units).toHaveLength(1);
    });

    it('come back at once, to one coordinator, when the last one is known to have ended', async () => {
      const before = await claim(fleet.stateDir);
      await seenBy(before);
      await hasEnded(before.unit);
      const after = [claim(fleet.stateDir), claim(fleet.stateDir)];
      const first = await Promise.race(after);
      expect(first.unit).toBe(before.unit);
      const beats = setInterval(() => void first.observe().catch(() => {}), 50);
      const units = await Promise.all(after);
      clearInterval(beats);
      expect(numbers(units).toSorted()).toEqual(named(0, 1));
    });

    it('come back to the container that had them, although one that was stopped in order is free', async () => {
      const lower = await claim(fleet.stateDir);
      await seenBy(lower);
      const own = await claim(join(fleet.stateDir, 'other'));
      await seenBy(own);
      await lower.leave('down');
      const folder = own.unit.replace('/', '-');
      await rename(join(fleet.stateDir, 'other', folder), join(fleet.stateDir, folder));
      await hasEnded(own.unit, { pidNamespace: 'pid:[1]' });
      const again = claim(fleet.stateDir);
      await delay(300);
      await fleet.pass(40_010);
      expect((await again).unit).toBe(own.unit);
    });

    it('are those of the units that lived last, when a fleet that had shrunk is stopped with its store', async () => {
      const [zero, one, two] = [await fleet.start(0), await fleet.start(1), await fleet.start(2)];
      for (const unit of [zero, one, two]) await seenBy(unit);
      await one.leave('down');
      await fleet.pass(2_000);
      for (const unit of [zero, two]) await seenBy(unit);
      await zero.leave('down');
      await two[Symbol.asyncDispose]();
      await rm(holderOf(two.unit)); // It could not tell the store.
      await fleet.pass(40_010);
      const claimed = [await claim(fleet.stateDir), await claim(fleet.stateDir)];
      expect(numbers(claimed).toSorted()).toEqual(named(0, 2));
    });

    it('are rather those of a unit that was stopped in order than of one that may only be stuck elsewhere', async () => {
      const [zero, one] = [await fleet.start(0), await fleet.start(1)];
      await seenBy(zero);
      await zero.leave('down');
      await fleet.pass(2_000);
      await seenBy(one);
      await isElsewhere(one.unit);
      await one[Symbol.asyncDispose]();
      await utimes(holderOf(one.unit), new Date(), new Date(Date.now() - 60_000));
      await fleet.pass(40_010);
      expect((await claim(fleet.stateDir)).unit).toBe(zero.unit);
    });

    it('are others when the store’s clock went back behind the last sign of life of the own one', async () => {
      const [zero, one] = [await fleet.start(0), await fleet.start(1)];
      for (const unit of [zero, one]) await seenBy(unit);
      await zero.leave('down');
      await hasEnded(one.unit, { pidNamespace: 'pid:[1]' });
      await one[Symbol.asyncDispose]();
      const ahead = Date.now() + 86_400_000;
      await fleet.admin.zadd(fleet.key('hb'), ahead, one.unit);
      const claimed = await fleet.open({ unit: 'claim', deadAfterMs: 300 });
      expect(claimed.unit).toBe(zero.unit);
      expect(fleet.log.lines.map(({ message }) => message)).toContain(
        'waiting to see whether units with folders here live',
      );
    });

    it('are new ones when each holder is seen to live on, as on a volume that all share', async () => {
      const holder = await claim(fleet.stateDir);
      await seenBy(holder);
      const beats = setInterval(() => void holder.observe().catch(() => {}), 50);
      const second = await claim(fleet.stateDir);
      clearInterval(beats);
      expect(numbers([holder, second])).toEqual(named(0, 1));
      expect((await readdir(fleet.stateDir)).toSorted()).toEqual([`${fleet.application}-0`, `${fleet.application}-1`]);
    });

    it('of a unit that is down are taken up again by its own folder, and by nobody else', async () => {
      const down = await claim(fleet.stateDir);
      await seenBy(down);
      await down.leave('down');
      expect((await claim(join(fleet.stateDir, 'elsewhere'))).unit).toBe(named(1)[0]);
      expect((await claim(fleet.stateDir)).unit).toBe(down.unit);
    });

    it('come back to the coordinator whose PgBouncers run beside it, although another folder is free', async () => {
      const lower = await claim(fleet.stateDir);
      await seenBy(lower);
      const own = await claim(join(fleet.stateDir, 'other'));
      await seenBy(own);
      await lower.leave('down');
      const folder = join(fleet.stateDir, own.unit.replace('/', '-'));
      await rename(join(fleet.stateDir, 'other', own.unit.replace('/', '-')), folder);
      const stay = ['-e', 'setInterval(() => {}, 1_000)', join(folder, 'instances', '1', 'pgbouncer.ini')];
      const instance = spawn(process.execPath, stay, { stdio: 'ignore' });
      onTestFinished(async () => {
        instance.kill('SIGKILL');
        await once(instance, 'exit');
      });
      await once(instance, 'spawn');
      const away = await fleet.open({ unit: 'claim', url: 'redis://127.0.0.1:1' });
      expect(away.unit).toBe(own.unit);
      await isElsewhere(own.unit); // Where PgBouncers are says more than what their host was called.
      const again = claim(fleet.stateDir);
      await delay(300);
      await fleet.pass(40_010);
      expect((await again).unit).toBe(own.unit);
    });

    it('are known from the only folder when the store is away', async () => {
      const five = await fleet.open({ unit: unitNameOf(fleet.application, 5) });
      await five[Symbol.asyncDispose]();
      await rm(holderOf(five.unit));
      const away = await fleet.open({ unit: 'claim', url: 'redis://127.0.0.1:1' });
      expect(away.unit).toBe(five.unit);
    });

    it('are not those of a folder that another has only just made, while the store is away', async () => {
      await mkdir(join(fleet.stateDir, `${fleet.application}-5`));
      const waiting = new AbortController();
      const opening = fleet.open({ unit: 'claim', url: 'redis://127.0.0.1:1', signal: waiting.signal });
      await until(() => fleet.log.lines.some(({ message }) => message.startsWith('waiting for the store')));
      waiting.abort(new Error('stopped'));
      await expect(opening).rejects.toThrow('stopped');
    });

    it.each([
      ['silent', async () => {}],
      ['forgotten with the whole store', () => empty()],
      ['removed for its silence', async (unit: UnitName) => fleet.admin.hdel(fleet.key('members'), unit)],
    ])('stay those of a unit that lives elsewhere on a volume that many share, when it is %s', async (_, meanwhile) => {
      const stuck = await claim(fleet.stateDir);
      await seenBy(stuck);
      await isElsewhere(stuck.unit);
      await utimes(holderOf(stuck.unit), new Date(), new Date(Date.now() - 3_600_000)); // Its socket tells that it has not ended.
      await fleet.pass(3_600_000);
      await meanwhile(stuck.unit);
      expect((await claim(fleet.stateDir)).unit).toBe(named(1)[0]);
    });

    it('are taken up again when whoever had them elsewhere gives no sign of life any more, or gave them up', async () => {
      const ended = await claim(fleet.stateDir);
      await seenBy(ended);
      await isElsewhere(ended.unit);
      await ended[Symbol.asyncDispose]();
      await utimes(holderOf(ended.unit), new Date(), new Date(Date.now() - 60_000));
      await fleet.pass(40_010);
      const again = await claim(fleet.stateDir);
      expect(again.unit).toBe(ended.unit);
      await isElsewhere(again.unit);
      await again.leave('down');
      expect((await claim(fleet.stateDir)).unit).toBe(ended.unit);
    });

    it('are not taken from a unit that lives elsewhere because the store is away', async () => {
      const elsewhere = await claim(fleet.stateDir);
      await isElsewhere(elsewhere.unit);
      const waiting = new AbortController();
      const opening = fleet.open({ unit: 'claim', url: 'redis://127.0.0.1:1', signal: waiting.signal });
      await until(() => fleet.log.lines.some(({ message }) => message.startsWith('waiting for the store')));
      waiting.abort(new Error('stopped'));
      await expect(opening).rejects.toThrow('stopped');
    });

    const holderOf = (unit: UnitName): string => join(fleet.stateDir, unit.replace('/', '-'), 'holder.json');
    /** As if it had been a process of its own, which is not there any more. */
    const hasEnded = async (unit: UnitName, more: object = {}): Promise<void> => {
      const holder = JSON.parse(await readFile(holderOf(unit), 'utf8'));
      const mark = { ...holder.process, pid: spawnSync('true').pid };
      await writeFile(holderOf(unit), JSON.stringify({ ...holder, process: mark, ...more }));
      await rm(join(dirname(holderOf(unit)), `lives-${holder.nonce.slice(0, 8)}`));
    };
    /** As if it ran in another container. */
    const isElsewhere = async (unit: UnitName): Promise<void> => {
      const holder = JSON.parse(await readFile(holderOf(unit), 'utf8'));
      await writeFile(holderOf(unit), JSON.stringify({ ...holder, host: 'elsewhere' }));
    };

    it('are waited for when the store is away and nothing is known', async () => {
      const waiting = new AbortController();
      const opening = fleet.open({ unit: 'claim', url: 'redis://127.0.0.1:1', signal: waiting.signal });
      await until(() => fleet.log.lines.some(({ message }) => message.startsWith('waiting for the store')));
      waiting.abort(new Error('stopped'));
      await expect(opening).rejects.toThrow('stopped');
    });
  });

  describe('when it comes back empty', () => {
    it('gets back what any live unit knew, whoever comes first, and epochs go on', async () => {
      const zero = await fleet.start(0);
      const one = await fleet.start(1);
      await seenBy(zero);
      await seenBy(one);
      const leadership = await lead(zero);
      await populate(zero, leadership);
      await seenBy(one);
      const later = intentOf({ version: 2, options: { pool_mode: 'session' } });
      await zero.changeIntent(later);
      await zero.writeRelation(leadership, recordOf({ id: 9 as RelationId }));
      await empty();
      // One has not heard of version 2 and relation 9; it comes first.
      const first = await seenBy(one);
      expect(first.intent?.version).toBe(1);
      const second = await seenBy(zero);
      expect(same(second.intent, later)).toBe(true);
      expect(second.published?.generation).toBe(1);
      expect(second.relations.map(({ id }) => id)).toEqual([2, 9]);
      const healed = await seenBy(one);
      expect(same(healed.intent, later)).toBe(true);
      expect(same(healed.relations, second.relations)).toBe(true);
      expect(healed.verdict).toEqual(verdict);
      expect(healed.units.map(({ unit }) => unit)).toEqual([zero.unit, one.unit]);
      expect(await zero.renewLease(leadership, ttl)).toEqual({ kind: 'lost' });
      expect((await lead(one)).epoch).toBe(leadership.epoch + 1);
    });

    it('gets it back from a unit that was started meanwhile', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      await populate(zero, await lead(zero));
      await zero[Symbol.asyncDispose]();
      await empty();
      const again = await fleet.start(0);
      const snapshot = await seenBy(again);
      expect(snapshot.intent?.version).toBe(1);
      expect(same(snapshot.relations, [recordOf()])).toBe(true);
      const next = await lead(again);
      expect(next.epoch).toBe(2);
      expect(await again.publish(next, 1 as Generation, specOf(), about)).toMatchObject({ kind: 'committed' });
    });

    it('tells a writer so, instead of taking its write for the only truth', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      await populate(zero, leadership);
      await empty();
      await expect(zero.changeIntent(intentOf({ version: 2 }))).rejects.toThrow(/the store is empty/);
      await expect(zero.acquireLease(ttl)).rejects.toThrow(/the store is empty/);
      expect(await zero.judge(leadership, { ...verdict, covers: 2 })).toEqual({ kind: 'fenced' });
      expect(await zero.writeBag(bagOf())).toEqual({ kind: 'conflict' });
      await zero.leave('down');
      expect(await fleet.admin.exists(fleet.key('meta'), fleet.key('intent'), fleet.key('members'))).toBe(0);
    });

    it('does not give a number to a unit with knowledge of its own before it has it back', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      await populate(zero, await lead(zero));
      await zero[Symbol.asyncDispose]();
      await empty();
      const claimed = await fleet.open({ unit: 'claim' });
      expect(claimed.unit).toBe(zero.unit);
      expect((await seenBy(claimed)).intent?.version).toBe(1);
      expect((await lead(claimed)).epoch).toBe(2);
    });
  });

  describe('when it goes back in time', () => {
    /** What the application's keys hold, to be put back later. */
    const keep = async (): Promise<() => Promise<void>> => {
      const keys = await fleet.admin.keys(fleet.key('*'));
      const dumps = await Promise.all(keys.map(async (key) => [key, await fleet.admin.dumpBuffer(key)] as const));
      return async () => {
        await empty();
        for (const [key, dump] of dumps) if (dump !== null) await fleet.admin.restore(key, 0, dump);
      };
    };

    it('is given again what came after, and no unit sees an epoch twice', async () => {
      const zero = await fleet.start(0);
      const one = await fleet.start(1);
      await seenBy(zero);
      await seenBy(one);
      const old = await lead(zero);
      await populate(zero, old);
      const goBack = await keep();
      await zero.releaseLease(old, null, 0 as Millis);
      await seenBy(one);
      const newer = await lead(one);
      await one.changeIntent(intentOf({ version: 2 }));
      await one.publish(newer, 1 as Generation, specOf({ options: { listen_port: 2 } }), about);
      await one.judge(newer, { ...verdict, covers: 2 });
      await one.writeRelation(newer, recordOf({ name: 'renamed' }));
      await one.writeRelation(newer, recordOf({ id: 11 as RelationId }));
      await goBack();
      // The old leader still holds the lease in this past: it must not be able to use it once anybody was heard who knows better.
      const seen = await seenBy(one);
      expect(seen.lease).toMatchObject({ holder: null, epoch: newer.epoch });
      expect(await zero.judge(old, { ...verdict, covers: 7 })).toEqual({ kind: 'fenced' });
      const healed = await seenBy(zero);
      expect(healed.intent?.version).toBe(2);
      expect(healed.published).toMatchObject({ generation: 2, epoch: newer.epoch });
      expect(healed.verdict.covers).toBe(2);
      expect(healed.relations.map(({ id, name }) => [id, name])).toEqual([
        [2, 'renamed'],
        [11, 'orders'],
      ]);
      expect((await lead(zero)).epoch).toBe(newer.epoch + 1);
    });

    it('is found out even when as much was written since as was lost', async () => {
      const zero = await fleet.start(0);
      const one = await fleet.start(1);
      await seenBy(one);
      await seenBy(zero);
      await zero.changeIntent(intentOf());
      const goBack = await keep();
      await zero.changeIntent(intentOf({ version: 2 }));
      await seenBy(zero);
      await goBack();
      await one.writeBag(bagOf());
      expect((await seenBy(zero)).intent?.version).toBe(2);
      expect((await seenBy(one)).intent?.version).toBe(2);
    });

    it('does not take a unit back behind its ledger when a leader of that past writes', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const old = await lead(zero);
      await populate(zero, old);
      const goBack = await keep();
      await zero.changeIntent(intentOf({ version: 2, author: 'mine' }));
      await goBack();
      const other = await fleet.start(1);
      await seenBy(other);
      await other.changeIntent(intentOf({ version: 2, author: 'theirs' }));
      expect((await seenBy(zero)).intent?.author).toBe('theirs');
      expect(errors().some((message) => message.includes('two histories'))).toBe(true);
    });
  });

  describe('epochs', () => {
    it('below that of the ledger are ignored', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      for (let term = 0; term < 3; term += 1) await zero.releaseLease(await lead(zero), null, 0 as Millis);
      const far = String(Date.now() + 100_000);
      await fleet.admin.hset(fleet.key('lease'), { e: '1', h: `${fleet.application}/9`, n: 'aa', x: far });
      await fleet.admin.hset(fleet.key('meta'), 'floor', '0');
      expect((await seenBy(zero)).lease).toEqual({ holder: null, nonce: null, epoch: 3, freeInMs: 0 });
      expect((await lead(zero)).epoch).toBe(4);
    });

    it('rise above what the asking unit has seen, though the store has forgotten it since', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      for (let term = 0; term < 3; term += 1) await zero.releaseLease(await lead(zero), null, 0 as Millis);
      await fleet.admin.del(fleet.key('lease'));
      await fleet.admin.hset(fleet.key('meta'), 'floor', '0');
      expect((await lead(zero)).epoch).toBe(4);
    });

    it('rise above the one of a lease that was taken away by hand, also for a unit that never saw it', async () => {
      const zero = await fleet.start(0);
      const one = await fleet.start(1);
      await seenBy(one);
      await seenBy(zero);
      const leadership = await lead(zero);
      await fleet.admin.del(fleet.key('lease'));
      expect((await lead(one)).epoch).toBe(leadership.epoch + 1);
    });

    it('of the past end with the beat of any unit that knows better', async () => {
      const zero = await fleet.start(0);
      const one = await fleet.start(1);
      await seenBy(zero);
      await seenBy(one);
      const old = await lead(zero);
      const past = await fleet.admin.hgetall(fleet.key('lease'));
      await zero.releaseLease(old, null, 0 as Millis);
      await lead(one);
      await fleet.admin.hset(fleet.key('lease'), past);
      await fleet.admin.hset(fleet.key('meta'), 'floor', '1');
      expect(await zero.renewLease(old, ttl)).toEqual({ kind: 'renewed' });
      await seenBy(one);
      expect(await zero.renewLease(old, ttl)).toEqual({ kind: 'lost' });
    });

    it('below the floor of the store are powerless, though their lease has not ended', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      await zero.writeRelation(leadership, recordOf());
      await fleet.admin.hset(fleet.key('meta'), 'floor', '5');
      expect(await zero.writeRelation(leadership, recordOf({ name: 'late' }))).toEqual({ kind: 'fenced' });
      expect(await zero.removeRelation(leadership, recordOf().id)).toEqual({ kind: 'fenced' });
      expect(await zero.publish(leadership, 0 as Generation, specOf(), about)).toEqual({ kind: 'fenced' });
      expect(await zero.renewLease(leadership, ttl)).toEqual({ kind: 'lost' });
      expect((await lead(zero)).epoch).toBe(6);
    });

    it('have one holder: a second one with the same epoch is ignored, reported and outrun', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      await fleet.admin.hset(fleet.key('lease'), { h: `${fleet.application}/9`, n: 'aa' });
      expect((await seenBy(zero)).lease).toEqual({ holder: null, nonce: null, epoch: 1, freeInMs: 0 });
      expect(errors()).toContain('two processes hold one epoch: the second is ignored, and a higher one is asked for');
      await seenBy(zero);
      expect((await lead(zero)).epoch).toBe(leadership.epoch + 2);
      expect((await seenBy(zero)).lease.holder).toBe(zero.unit);
    });

    it('survive the process in its ledger', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      await zero[Symbol.asyncDispose]();
      const again = await fleet.start(0);
      expect((await again.recall()).epoch).toBe(leadership.epoch);
    });
  });

  describe('foreign hands', () => {
    const tamper = async (name: string, fields: Record<string, string>): Promise<void> => {
      const rev = await fleet.admin.hincrby(fleet.key('meta'), 'rev', 1);
      await fleet.admin.hset(fleet.key(name), fields);
      await fleet.admin.zadd(fleet.key('idx'), rev, name);
    };
    const bodyOf = async (name: string): Promise<string> => (await fleet.admin.hget(fleet.key(name), 'b')) ?? '';

    it.each([
      ['no hash', (key: string) => fleet.admin.set(key, 'x')],
      ['a hash without its fields', (key: string) => fleet.admin.hset(key, { c: 'ab', x: '1' })],
      ['a hash without a digest', (key: string) => fleet.admin.hset(key, { x: '1' })],
      ['not JSON', (key: string) => fleet.admin.hset(key, { v: '9', e: '9', c: digestOf('{'), q: 'r', b: '{' })],
      ['huge', (key: string) => fleet.admin.hset(key, { v: '9', e: '9', c: 'ab', q: 'r', b: 'x'.repeat(5_000_000) })],
    ])('that make one object %s leave the others readable, also for a unit that never saw it', async (_, harm) => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      await populate(zero, leadership);
      const account = { ...recordOf().account, username: 'b' };
      await zero.writeRelation(leadership, recordOf({ id: 3 as RelationId, account }));
      await zero.writeBag(bagOf());
      for (const name of ['rel:2', `unit:${zero.unit}`]) {
        await fleet.admin.del(fleet.key(name));
        await harm(fleet.key(name));
      }
      const one = await fleet.start(1);
      const seen = await seenBy(one);
      expect(seen.relations.map(({ id }) => id)).toEqual([3]);
      expect(seen.intent).not.toBeNull();
      expect(seen.damaged).toMatchObject([
        { object: 'rel:2', relation: 2, unit: null, reason: expect.any(String) },
        { object: `unit:${zero.unit}`, relation: null, unit: zero.unit },
      ]);
      expect((await seenBy(one)).damaged).toHaveLength(2);
    });

    it('that make one entry of the intent unreadable leave the others, and keep nobody out', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      await populate(zero, await lead(zero));
      const before = (await seenBy(zero)).intent;
      const tree = JSON.parse(await bodyOf('intent'));
      const body = JSON.stringify({ ...tree, clients: { ...tree.clients, crafted: { id: 'x' } } });
      await tamper('intent', { b: body, c: digestOf(body) });
      const one = await fleet.start(1);
      for (const unit of [zero, one]) {
        const { intent } = await seenBy(unit);
        expect(intent).toMatchObject({ unreadable: [{ of: 'clients', name: 'crafted', id: null }] });
        expect(intent?.clients).toEqual(before?.clients);
      }
      await one[Symbol.asyncDispose]();
      expect(await bodyOf('intent')).toBe(body);
    });

    it('that make the intent unreadable keep out who never saw it, and say what brings it back', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      await populate(zero, await lead(zero));
      await fleet.admin.hset(fleet.key('intent'), { c: 'ab', b: 'nonsense' });
      const one = await fleet.start(1);
      expect(await one.observe()).toMatchObject({
        kind: 'refused',
        reason: expect.stringMatching(
          /intent of the store cannot be read \(.*\): units that know an earlier version go on/,
        ),
      });
      expect((await seenBy(zero)).intent).not.toBeNull();
    });

    it('do not get anything applied: the last good object stays, and the next write of its owner mends it', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      await populate(zero, leadership);
      await zero.writeRelation(
        leadership,
        recordOf({ id: 3 as RelationId, account: { ...recordOf().account, username: 'b' } }),
      );
      const good = await seenBy(zero);
      const relation = await bodyOf('rel:2');
      const other = await bodyOf('rel:3');
      const attacks: readonly (readonly [string, Record<string, string>])[] = [
        ['digest that does not fit', { v: '50', c: 'ab'.repeat(32), b: relation }],
        ['no JSON', { v: '51', b: '{"a":' }],
        ['other shape', { v: '52', b: '{"id":2}' }],
        ['prototype', { v: '53', b: relation.replace('"provisioned"', '"__proto__":{"x":1},"provisioned"') }],
        ['secret of another relation', { v: '54', b: other.replaceAll('"id":3', '"id":2') }],
        ['very deep', { v: '55', b: `${'['.repeat(5000)}${']'.repeat(5000)}` }],
        ['very long', { v: '56', b: `"${'x'.repeat(100_000)}"` }],
        ['number that is none', { v: '57', b: relation.replace('"id":2', '"id":2.5') }],
        ['secret in clear', { v: '58', b: relation.replace(/\{"\$sealed":\{[^}]*\}\}/, '"clear"') }],
      ];
      for (const [what, fields] of attacks) {
        const body = fields['b'] ?? '';
        await tamper('rel:2', { c: digestOf(body), ...fields, e: '1', q: 'x' });
        const before = errors().length;
        expect(same((await seenBy(zero)).relations, good.relations), what).toBe(true);
        expect(errors().length, what).toBe(before + 1);
      }
      const mended = recordOf({ name: 'mended' });
      expect(await zero.writeRelation(leadership, mended)).toEqual({ kind: 'committed' });
      const one = await fleet.start(1);
      expect(same((await seenBy(one)).relations[0], mended)).toBe(true);
    });

    it('that change an object under its version are noticed by whoever writes it next', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      await populate(zero, leadership);
      for (const name of ['rel:2', 'verdict']) await fleet.admin.hset(fleet.key(name), 'c', 'ab'.repeat(32));
      expect(await zero.writeRelation(leadership, recordOf({ name: 'x' }))).toEqual({ kind: 'conflict' });
      expect(await zero.removeRelation(leadership, recordOf().id)).toEqual({ kind: 'conflict' });
      expect(await zero.judge(leadership, { ...verdict, covers: 2 })).toEqual({ kind: 'conflict' });
      await seenBy(zero); // Cannot be read: what the unit knows stays, and may be written again over it.
      expect(await zero.writeRelation(leadership, recordOf({ name: 'x' }))).toEqual({ kind: 'committed' });
      expect(await zero.judge(leadership, { ...verdict, covers: 2 })).toEqual({ kind: 'committed' });
    });

    it('that let a newer leader appear to have written are believed: the older one is fenced', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      await populate(zero, leadership);
      for (const name of ['rel:2', 'verdict']) await fleet.admin.hset(fleet.key(name), 'e', '9');
      expect(await zero.writeRelation(leadership, recordOf({ name: 'x' }))).toEqual({ kind: 'fenced' });
      expect(await zero.removeRelation(leadership, recordOf().id)).toEqual({ kind: 'fenced' });
      expect(await zero.judge(leadership, { ...verdict, covers: 2 })).toEqual({ kind: 'fenced' });
    });

    it('that turn the number of generations back do not get one written twice', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      const leadership = await lead(zero);
      await populate(zero, leadership);
      await fleet.admin.hset(fleet.key('gen'), 'v', '0');
      const other = specOf({ options: { listen_port: 1 } });
      expect(await zero.publish(leadership, 0 as Generation, other, about)).toEqual({ kind: 'conflict' });
    });

    it('make the store unavailable at worst, never end a unit', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      await tamper('members', { [`${fleet.application}/1`]: 'nonsense' });
      await expect(zero.observe()).rejects.toThrow(
        'cannot tell the store that this unit lives: the store answers nonsense',
      );
      await fleet.admin.hdel(fleet.key('members'), `${fleet.application}/1`);
      await seenBy(zero);
      await fleet.admin.del(fleet.key('hb'));
      await fleet.admin.set(fleet.key('hb'), 'a string');
      await expect(zero.observe()).rejects.toThrow(/WRONGTYPE/);
      expect(errors()).toContain('a command to the store broke off');
      await fleet.admin.del(fleet.key('hb'));
      expect((await seenBy(zero)).units).toHaveLength(1);
    });

    it('that take an object away get it back with the next full reading', async () => {
      const zero = await fleet.start(0);
      await seenBy(zero);
      await zero.changeIntent(intentOf());
      await seenBy(zero);
      await fleet.admin.del(fleet.key('intent'));
      expect(await zero.changeIntent(intentOf({ version: 2 }))).toEqual({ kind: 'conflict' });
      expect((await seenBy(zero)).intent?.version).toBe(1);
      expect(await zero.changeIntent(intentOf({ version: 2 }))).toEqual({ kind: 'committed' });
    });

    it('that write another format keep the unit out', async () => {
      await seenBy(await fleet.start(0));
      await fleet.admin.hset(fleet.key('meta'), 'fmt', '2');
      const late = await fleet.start(1);
      expect(await late.observe()).toMatchObject({ kind: 'refused', reason: expect.stringContaining('format 2') });
    });
  });

  it('refuses to tell what it cannot keep: a state directory that is gone', async () => {
    const zero = await fleet.start(0);
    await seenBy(zero);
    await rm(join(fleet.stateDir, `${fleet.application}-0`), { recursive: true });
    await expect(zero.acquireLease(ttl)).rejects.toThrow(/cannot acquire the lease as .*ENOENT/);
    const one = await fleet.start(1);
    await seenBy(one);
    await one.changeIntent(intentOf());
    await expect(zero.observe()).rejects.toThrow(/cannot observe as .*ENOENT/);
    await mkdir(join(fleet.stateDir, `${fleet.application}-0`));
    expect((await lead(zero)).epoch).toBe(1);
    expect((await seenBy(zero)).intent?.version).toBe(1);
  });
});

/** What a crash of the machine, or a hand, may leave in a state directory: each file of it cut at any byte, or changed, or gone. */
import { cp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Application, Generation, RelationId } from '../../src/actors/model/ids.ts';
import { Secret } from '../../src/actors/model/secret.ts';
import { same } from '../../src/actors/model/same.ts';
import { ensureSealKey } from '../../src/infra/files/seal.ts';
import { openEmbeddedBackplane } from '../../src/infra/memory/backplane-embedded.ts';
import { digestOf } from '../../src/infra/files/stored-object.ts';
import { readRecord, writeRecord } from '../../src/infra/process/record.ts';
import { probeLogin } from '../../src/infra/process/probe.ts';
import { backendOf, intentOf, publishedOf, recordOf, specOf } from '../support/builders.ts';
import { testDirectory } from '../support/servers.ts';
import { createLog, createStandingClock, lead, seenBy } from './backplane-fleets.ts';

const password = new Secret('of-the-administrator');
const intent = intentOf({ backends: { main: backendOf({ password }) } });
const account = { username: 'u', password: new Secret('planted-1'), verifier: new Secret('planted-2') };

const openUnit = async (stateDir: string) => {
  const { key, losses } = await ensureSealKey(join(stateDir, 'secret.key'));
  const backplane = await openEmbeddedBackplane({
    application: 'pgbouncer' as Application,
    number: 0,
    instances: 2,
    stateDir,
    sealKey: key,
    clock: createStandingClock(),
    log: createLog(),
  });
  return { backplane, losses: [...losses, ...(await backplane.recall()).losses] };
};

describe('a unit that runs alone, whose state directory', () => {
  let whole = '';
  let epoch = 0;
  beforeAll(async () => {
    whole = await testDirectory('whole-');
    const { backplane } = await openUnit(whole);
    await seenBy(backplane);
    const leadership = await lead(backplane);
    await backplane.changeIntent(intent);
    await backplane.publish(leadership, 0 as Generation, specOf(), { intentVersion: 1, reason: 'test' });
    await backplane.writeRelation(leadership, recordOf({ id: 1 as RelationId, account }));
    await backplane.remember({ verified: publishedOf({ digest: digestOf('x') }), waits: [] });
    await backplane.remember({
      verified: publishedOf({ digest: digestOf('x') }),
      waits: [{ id: 'leader', sinceWallMs: 1 }],
    });
    ({ epoch } = leadership);
  });

  /** Does the damage to a fresh copy, and starts the unit on it twice. */
  const startsAfter = async (damage: (stateDir: string) => Promise<void>): Promise<readonly string[]> => {
    const stateDir = await testDirectory('damaged-');
    await cp(whole, stateDir, { recursive: true });
    await damage(stateDir);
    const { backplane, losses } = await openUnit(stateDir);
    const { intent: told, relations, published } = await seenBy(backplane);
    expect(same(told, intent)).toBe(true);
    expect(same(relations[0]?.account, account)).toBe(true);
    expect(published?.generation).toBe(1);
    expect((await lead(backplane)).epoch).toBeGreaterThan(epoch);
    expect((await openUnit(stateDir)).losses).toEqual([]);
    await rm(stateDir, { recursive: true });
    return losses;
  };

  it.each(['secret.key', 'secret.key.copy', 'pgbouncer-0/ledger', 'pgbouncer-0/ledger.previous'])(
    'has %s cut at any byte, starts with all it knew, and says which file it was',
    async (file) => {
      const { length } = await readFile(join(whole, file));
      const step = Math.max(1, Math.floor(length / 80));
      const cuts = [...Array(length).keys()].filter((at) => at % step === 0 || at > length - 3);
      for (const at of cuts) {
        const losses = await startsAfter((stateDir) => truncate(join(stateDir, file), at));
        const name = basename(file);
        if (name === 'secret.key' && at >= 43) continue; // Its first line is the key.
        if (name === 'ledger' || name === 'secret.key') expect(losses.join()).toContain(`${name} was damaged`);
      }
    },
  );

  it.each(['secret.key', 'pgbouncer-0/ledger'])('has a byte of %s changed, and the same is true', async (file) => {
    const { length } = await readFile(join(whole, file));
    const step = Math.max(1, Math.floor(length / 60));
    for (let at = 0; at < length - 1; at += step) {
      const losses = await startsAfter(async (stateDir) => {
        const bytes = await readFile(join(stateDir, file));
        bytes[at] = (bytes[at] ?? 0) ^ 0x04;
        await rm(join(stateDir, file));
        await writeFile(join(stateDir, file), bytes, { mode: 0o600 });
      });
      expect(losses).toHaveLength(1);
    }
  });

  it.each(['secret.key', 'pgbouncer-0/ledger'])('lacks %s, and the same is true', async (file) => {
    const losses = await startsAfter((stateDir) => rm(join(stateDir, file)));
    expect(losses.join()).toMatch(/(was|is) missing/);
  });

  it('has no key of use left does not start, and says what to do', async () => {
    const stateDir = await testDirectory('keyless-');
    await cp(whole, stateDir, { recursive: true });
    for (const name of ['secret.key', 'secret.key.copy']) await truncate(join(stateDir, name), 10);
    const before = await readdir(stateDir);
    await expect(openUnit(stateDir)).rejects.toThrow(
      /cannot use the secret key in .*; there is no copy of use in .*: put the key of this state directory back/,
    );
    expect(await readdir(stateDir)).toEqual(before);
  });
});

describe('a record of a process, and the login of the probe', () => {
  it('that are cut at any byte, or changed, are whole or of no use, and are never half believed', async () => {
    const directory = await testDirectory('records-');
    const record = {
      mark: { pid: 4711, startedAt: 123_456, bootId: 'b' },
      port: 6432,
      socketDir: '/run/troupe/pgbouncer-0/1',
      paused: false,
    };
    const file = join(directory, 'process.json');
    await writeRecord(file, record);
    const good = await readFile(file);
    for (let at = 0; at <= good.length; at += 1) {
      await writeFile(file, good.subarray(0, at));
      expect([null, record]).toContainEqual(readRecord(file));
      const changed = Buffer.from(good);
      changed[Math.min(at, good.length - 2)] = (changed[Math.min(at, good.length - 2)] ?? 0) ^ 0x01;
      await writeFile(file, changed);
      expect([null, record]).toContainEqual(readRecord(file));
    }
    await rm(file);
    expect(readRecord(file)).toBeNull();

    const probe = join(directory, 'probe.json');
    const login = await probeLogin(probe);
    const kept = await readFile(probe);
    for (const at of [0, 1, 40, 90, 150]) {
      const changed = Buffer.from(kept);
      changed[at] = (changed[at] ?? 0) ^ 0x01;
      await writeFile(probe, changed);
      const fresh = await probeLogin(probe);
      expect(fresh.password.reveal()).not.toBe(login.password.reveal());
      expect((await probeLogin(probe)).password.reveal()).toBe(fresh.password.reveal());
    }
  });
});

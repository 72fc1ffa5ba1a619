/** What a unit that runs alone has to stand beside the contract: its own second process, its own restart, its own disk. */
import { mkdir, readdir, readFile, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Application, Generation, RelationId } from '../../src/actors/model/ids.ts';
import { same } from '../../src/actors/model/same.ts';
import { Secret } from '../../src/actors/model/secret.ts';
import { BackplaneUnavailable } from '../../src/actors/ports/backplane.ts';
import { SealKey } from '../../src/infra/files/seal.ts';
import { openEmbeddedBackplane } from '../../src/infra/memory/backplane-embedded.ts';
import { bagOf, intentOf, recordOf, specOf } from '../support/builders.ts';
import { testDirectory } from '../support/servers.ts';
import { about, createLog, createStandingClock, lead, sealKey, seenBy, ttl, verdict } from './backplane-fleets.ts';

describe('a unit that runs alone', () => {
  let stateDir = '';
  let log = createLog();
  beforeEach(async () => {
    stateDir = await testDirectory('alone-');
    log = createLog();
  });
  const directory = (): string => join(stateDir, 'pgbouncer-0');
  const open = (key = sealKey) =>
    openEmbeddedBackplane({
      application: 'pgbouncer' as Application,
      number: 0,
      instances: 2,
      stateDir,
      sealKey: key,
      clock: createStandingClock(),
      log,
    });

  it('is refused, with all it still tries, once a second process was started for it', async () => {
    const earlier = await open();
    await seenBy(earlier);
    const leadership = await lead(earlier);
    const later = await open();
    await seenBy(later);
    expect(await earlier.observe()).toMatchObject({ kind: 'refused' });
    await expect(earlier.changeIntent(intentOf())).rejects.toBeInstanceOf(BackplaneUnavailable);
    await expect(earlier.publish(leadership, 0 as Generation, specOf(), about)).rejects.toBeInstanceOf(
      BackplaneUnavailable,
    );
    expect((await lead(later)).epoch).toBe(leadership.epoch + 1);
    const third = await open();
    expect((await third.recall()).intent).toBeNull();
  });

  it('has after a crash everything it was told is committed, and a higher epoch', async () => {
    const zero = await open();
    await seenBy(zero);
    const leadership = await lead(zero);
    await zero.changeIntent(intentOf());
    await zero.publish(leadership, 0 as Generation, specOf(), about);
    await zero.judge(leadership, verdict);
    for (const id of [1, 2, 3]) await zero.writeRelation(leadership, recordOf({ id: id as RelationId }));
    await zero.removeRelation(leadership, 2 as RelationId);
    const before = await seenBy(zero);
    const again = await open(); // Nothing was closed.
    const after = await seenBy(again);
    expect(same({ ...after, units: [], lease: null }, { ...before, units: [], lease: null })).toBe(true);
    expect((await lead(again)).epoch).toBe(leadership.epoch + 1);
    expect(await again.judge(leadership, { ...verdict, covers: 2 })).toEqual({ kind: 'fenced' });
  });

  it('does not write to disk for what need not last: beats, renewals, its own databag', async () => {
    const zero = await open();
    await seenBy(zero);
    const leadership = await lead(zero);
    const { mtimeNs } = await stat(join(directory(), 'ledger'), { bigint: true });
    for (let i = 0; i < 20; i += 1) {
      await seenBy(zero);
      await zero.renewLease(leadership, ttl);
      await zero.writeBag(bagOf({ pid: i }));
    }
    expect((await stat(join(directory(), 'ledger'), { bigint: true })).mtimeNs).toBe(mtimeNs);
  });

  it('keeps no secret in clear, and no file that others can read', async () => {
    const zero = await open();
    await seenBy(zero);
    const leadership = await lead(zero);
    const account = { username: 'u', password: new Secret('planted-1'), verifier: new Secret('planted-2') };
    await zero.writeRelation(leadership, recordOf({ account }));
    for (const name of await readdir(directory())) {
      expect(await readFile(join(directory(), name), 'utf8')).not.toContain('planted');
      expect((await stat(join(directory(), name))).mode & 0o077).toBe(0);
    }
    await expect(open(new SealKey(Buffer.alloc(32, 9)))).rejects.toThrow(/cannot open the secrets in/);
    expect(same((await seenBy(await open())).relations[0]?.account, account)).toBe(true);
  });

  it('goes on from before its last write when its ledger is damaged, says so, and leads under no epoch twice', async () => {
    const zero = await open();
    await seenBy(zero);
    await zero.changeIntent(intentOf());
    const { epoch } = await lead(zero);
    await truncate(join(directory(), 'ledger'), 100);
    const again = await open();
    expect((await seenBy(again)).intent).toEqual(intentOf());
    expect((await again.recall()).losses).toHaveLength(1);
    expect(log.lines).toMatchObject([{ level: 'error', message: 'the ledger is damaged: set aside' }]);
    expect((await lead(again)).epoch).toBeGreaterThan(epoch);
  });

  it('tells nothing that it could not keep, and goes on when it can', async () => {
    const zero = await open();
    await seenBy(zero);
    await rm(directory(), { recursive: true });
    await expect(zero.changeIntent(intentOf())).rejects.toThrow(/cannot change intent as pgbouncer\/0: .*ENOENT/);
    await mkdir(directory());
    expect(await zero.changeIntent(intentOf())).toEqual({ kind: 'committed' });
    expect((await (await open()).recall()).intent?.version).toBe(1);
  });
});

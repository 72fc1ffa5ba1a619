import { mkdir, mkdtemp, readdir, readFile, rm, rmdir, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Application, Nonce, UnitName } from '../../../src/actors/model/ids.ts';
import { Secret } from '../../../src/actors/model/secret.ts';
import { same } from '../../../src/actors/model/same.ts';
import { intentCodec } from '../../../src/infra/files/domain-codecs.ts';
import { Ledger, unitDirectory } from '../../../src/infra/files/ledger.ts';
import type { Log } from '../../../src/infra/files/log.ts';
import { SealKey } from '../../../src/infra/files/seal.ts';
import { digestOf, type StoredObject } from '../../../src/infra/files/stored-object.ts';
import { backendOf, intentOf, publishedOf } from '../../support/builders.ts';

const application = 'pgbouncer' as Application;
const unit = 'pgbouncer/0' as UnitName;
const sealer = { key: new SealKey(Buffer.alloc(32, 1)), application };

describe('the ledger', () => {
  let stateDir = '';
  let reports: readonly Readonly<Record<string, unknown>>[] = [];
  const log: Log = {
    debug: () => {},
    info: () => {},
    warn: () => {},
    error: (fields) => {
      reports = [...reports, fields];
    },
  };
  beforeEach(async () => {
    stateDir = await mkdtemp(join(tmpdir(), 'ledger-'));
    reports = [];
  });
  afterEach(() => rm(stateDir, { recursive: true }));
  const directory = (): string => unitDirectory(stateDir, unit);
  const open = (by = sealer, who = unit) => Ledger.open({ directory: directory(), unit: who, sealer: by, log });
  const path = (): string => join(directory(), 'ledger');
  const intent = intentOf({ backends: { main: backendOf({ password: new Secret('planted-secret') }) } });
  const intentObject = (): StoredObject => {
    const body = intentCodec.encode(sealer, 'intent', intent);
    return { version: 1, epoch: 0, digest: digestOf(body), request: 'r', body };
  };

  it('counts the starts of its unit', async () => {
    expect((await open()).content.boot).toBe(1);
    expect((await open()).content.boot).toBe(2);
    expect((await stat(path())).mode & 0o777).toBe(0o600);
    expect((await stat(directory())).mode & 0o777).toBe(0o700);
  });

  it('gives back what was kept and remembered, in the next process', async () => {
    const ledger = await open();
    const objects = new Map([['intent', intentObject()]]);
    await ledger.keep((content) => ({ ...content, epoch: 7, holder: 'ab' as Nonce, objects }));
    const memory = { verified: publishedOf({ digest: digestOf('x') }), waits: [{ id: 'w', sinceWallMs: 5 }] };
    await ledger.remember(memory);
    expect(same(ledger.recalled.memory, memory)).toBe(true);
    const next = await open();
    expect(next.content).toMatchObject({ epoch: 7, holder: 'ab', boot: 2 });
    expect(same(next.recalled, { memory, intent, published: null, epoch: 7, losses: [] })).toBe(true);
    expect(await readFile(path(), 'utf8')).not.toContain('planted-secret');
  });

  it('has written what it resolves for, though many ask at once', async () => {
    const ledger = await open();
    const written = Array.from({ length: 50 }, async (_, i) => {
      await ledger.keep((content) => ({ ...content, epoch: Math.max(content.epoch, i) }));
      const epoch = Number(/"epoch":(\d+)/.exec(await readFile(path(), 'utf8'))?.[1]);
      expect(epoch).toBeGreaterThanOrEqual(i);
    });
    await Promise.all(written);
    expect((await open()).content.epoch).toBe(49);
  });

  it('does not write when nothing changed', async () => {
    const ledger = await open();
    const { ino } = await stat(path());
    await ledger.keep((content) => content);
    expect((await stat(path())).ino).toBe(ino);
  });

  it('rejects what it cannot keep, and keeps it with the next chance', async () => {
    const ledger = await open();
    await rm(directory(), { recursive: true });
    await expect(ledger.keep((content) => ({ ...content, epoch: 3 }))).rejects.toThrow(/ENOENT/);
    await expect(ledger.keep((content) => content)).rejects.toThrow(/ENOENT/);
    await mkdir(directory());
    await ledger.keep((content) => content);
    expect((await open()).content.epoch).toBe(3);
  });

  it.each([
    ['cut short', async (file: string) => truncate(file, (await stat(file)).size - 3)],
    ['empty', (file: string) => truncate(file, 0)],
    ['cut to its first line', (file: string) => truncate(file, 20)],
    [
      'changed by a byte',
      async (file: string) => writeFile(file, (await readFile(file, 'utf8')).replace('"boot":1', '"boot":9')),
    ],
    [
      'of another version',
      async (file: string) => writeFile(file, (await readFile(file, 'utf8')).replace('ledger 1', 'ledger 9')),
    ],
    ['something else', (file: string) => writeFile(file, '\u0000\u0001 nonsense')],
  ])('that is %s is set aside and told, and what it held before its last write counts', async (_, damage) => {
    const before = await open();
    await before.keep((content) => ({ ...content, epoch: 4 }));
    await before.keep((content) => ({ ...content, epoch: 5 }));
    await damage(path());
    const damaged = await readFile(path(), 'utf8');
    const ledger = await open();
    expect(ledger.content).toMatchObject({ epoch: 4 });
    expect(ledger.recalled.losses).toEqual([expect.stringContaining(`${path()} was damaged`)]);
    expect(reports).toHaveLength(1);
    const aside = (await readdir(directory())).find((name) => name.startsWith('ledger.damaged-'));
    expect(await readFile(join(directory(), aside ?? ''), 'utf8')).toBe(damaged);
    // The lost write may have counted a start: its number is not used again.
    expect(ledger.content.boot).toBe(before.content.boot + 2);
    const next = await open();
    expect(next.content.boot).toBe(before.content.boot + 3);
    expect(next.recalled.losses).toEqual([]);
  });

  it('that is missing is made again from what it held before, and says so', async () => {
    const before = await open();
    await before.keep((content) => ({ ...content, epoch: 4 }));
    await before.keep((content) => ({ ...content, epoch: 5 }));
    await rm(path());
    const ledger = await open();
    expect(ledger.content.epoch).toBe(4);
    expect(ledger.recalled.losses).toEqual([expect.stringContaining(`${path()} is missing`)]);
  });

  it('keeps both copies when a write fails: not even then is one file all there is', async () => {
    const before = await open();
    await before.keep((content) => ({ ...content, epoch: 4 }));
    await before.keep((content) => ({ ...content, epoch: 5 }));
    await mkdir(`${path()}.new`); // In the way of what is written first.
    await expect(before.keep((content) => ({ ...content, epoch: 6 }))).rejects.toThrow();
    await rmdir(`${path()}.new`);
    await truncate(path(), 20);
    expect((await open()).content.epoch).toBe(4);
  });

  it('of which no copy is whole is started over, and both are set aside', async () => {
    const before = await open();
    await before.keep((content) => ({ ...content, epoch: 5 }));
    await truncate(path(), 30);
    await truncate(`${path()}.previous`, 30);
    const ledger = await open();
    expect(ledger.content).toMatchObject({ boot: 1, epoch: 0 });
    expect(ledger.recalled.losses).toEqual([expect.stringMatching(/is lost/)]);
    const asides = (await readdir(directory())).filter((name) => name.includes('.damaged-'));
    expect(asides).toHaveLength(2);
    expect((await open()).content.boot).toBe(2);
  });

  it('is not read without its key: the file stays, and the sentence names both keys', async () => {
    const ledger = await open();
    await ledger.keep((content) => ({ ...content, objects: new Map([['intent', intentObject()]]) }));
    const before = await readFile(path(), 'utf8');
    const other = { ...sealer, key: new SealKey(Buffer.alloc(32, 2)) };
    await expect(open(other)).rejects.toThrow(
      `cannot open the secrets in ${path()}: they were sealed with key ${sealer.key.id}, and the secret key given is ${other.key.id}`,
    );
    expect(await readFile(path(), 'utf8')).toBe(before);
  });

  it('of another unit is not taken', async () => {
    await open();
    await expect(open(sealer, 'pgbouncer/1' as UnitName)).rejects.toThrow(
      `it is that of ${unit}, and this unit is pgbouncer/1`,
    );
  });

  it('notices a later start on the same directory, and only that', async () => {
    const earlier = await open();
    await earlier.keep((content) => ({ ...content, epoch: 1 }));
    expect(await earlier.isTakenOver()).toBe(false);
    const later = await open();
    expect(await earlier.isTakenOver()).toBe(true);
    expect(await later.isTakenOver()).toBe(false);
  });

  it('has a folder for each unit', () => {
    expect(unitDirectory('/var/lib/troupe', 'pgbouncer/12' as UnitName)).toBe('/var/lib/troupe/pgbouncer-12');
  });
});

import { fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Nonce } from '../../../src/actors/model/ids.ts';
import { createSystemClock } from '../../../src/infra/clock/system-clock.ts';
import { FolderHold, holderOf } from '../../../src/infra/files/folder-hold.ts';
import { markOf, pidNamespace } from '../../../src/infra/files/process-mark.ts';
import type { Inheritance } from '../../support/folder-heir-process.ts';

describe('the folder of a unit', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'troupe-folder-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const nonce = 'ab'.repeat(16) as Nonce;
  const heldBy = async (host: string, mark: ReturnType<typeof markOf>, secondsAgo: number, more: object = {}) => {
    const path = join(folder, 'holder.json');
    await writeFile(path, JSON.stringify({ host, process: mark, ...more }));
    const at = new Date(Date.now() - secondsAgo * 1_000);
    await utimes(path, at, at);
    return at.getTime();
  };
  const elsewhere = `not-${hostname()}`;
  const endedProcess = () => {
    const mark = markOf(process.pid);
    if (mark === null) throw new Error('this process is not there');
    return { ...mark, pid: spawnSync('true').pid };
  };

  it('is of a unit elsewhere that said lately that it lives', async () => {
    const at = await heldBy(elsewhere, markOf(process.pid), 20);
    const holder = await holderOf(folder);
    expect(holder).toEqual({ kind: 'other', signAt: expect.any(Number) });
    expect(Math.abs((holder.kind === 'other' ? holder.signAt : 0) - at)).toBeLessThan(1_000);
  });

  it.each([
    ['somebody elsewhere who has not said so for long', elsewhere, 40, 'silent'],
    ['this process itself', hostname(), 1, 'nobody'],
  ])('is not held by %s', async (_, host, secondsAgo, kind) => {
    await heldBy(host, markOf(process.pid), secondsAgo);
    expect(await holderOf(folder)).toEqual({ kind });
  });

  it('is of a process of this machine that lives', async () => {
    await heldBy(hostname(), markOf(process.ppid), 1);
    expect(await holderOf(folder)).toMatchObject({ kind: 'other' });
  });

  it('tells whose it was when that process, and so this run of the unit, has ended here', async () => {
    await heldBy(hostname(), endedProcess(), 1, { pidNamespace: pidNamespace(), nonce });
    expect(await holderOf(folder)).toEqual({ kind: 'ended', nonce });
  });

  it.each([
    ['ran in another container', { pidNamespace: 'pid:[1]', nonce }],
    ['ran in another boot', { pidNamespace: pidNamespace(), nonce, process: { ...endedProcess(), bootId: 'earlier' } }],
    ['may only be hidden', { pidNamespace: pidNamespace(), nonce, process: { ...endedProcess(), pid: process.ppid } }],
    ['did not say which run it was', {}],
  ])('does not vouch for the end of one of the same host name that %s', async (_, more) => {
    await heldBy(hostname(), endedProcess(), 1, more);
    expect(await holderOf(folder)).toEqual({ kind: 'ended', nonce: null });
  });

  it('has one heir, however many come at the same time', async () => {
    const heirs = Array.from({ length: 4 }, () =>
      fork(join(import.meta.dirname, '../../support/folder-heir-process.ts')),
    );
    try {
      for (let round = 0; round < 8; round += 1) {
        const of = join(folder, `unit-${round}`);
        await mkdir(of);
        const told: Inheritance = { folder: of, at: Date.now() + (round === 0 ? 1_500 : 50) };
        const answers = heirs.map(async (heir) => {
          const answer = once(heir, 'message');
          heir.send(told);
          return (await answer)[0];
        });
        expect((await Promise.all(answers)).filter(Boolean)).toHaveLength(1);
      }
    } finally {
      for (const heir of heirs) heir.disconnect();
    }
  });

  it.each([
    ['elsewhere', { host: elsewhere }],
    ['in another container of the same host name', { process: endedProcess() }],
  ])('is of a process %s that is frozen, however long, until it has ended', async (_, place) => {
    const heir = fork(join(import.meta.dirname, '../../support/folder-heir-process.ts'));
    const gone = once(heir, 'exit');
    try {
      const told: Inheritance = { folder, at: 0 };
      heir.send(told);
      expect(await once(heir, 'message')).toEqual([true, undefined]);
      heir.kill('SIGSTOP');
      const holder = JSON.parse(await readFile(join(folder, 'holder.json'), 'utf8'));
      await heldBy(hostname(), holder.process, 3_600, { nonce: holder.nonce, ...place });
      const began = Date.now();
      for (let look = 0; look < 600; look += 1) {
        const seen = await holderOf(folder);
        if (seen.kind !== 'other') expect.unreachable(`look ${look}: ${seen.kind}`);
        expect(seen.signAt).toBeGreaterThanOrEqual(began);
      }
    } finally {
      heir.kill('SIGKILL');
    }
    await gone;
    expect((await holderOf(folder)).kind).not.toBe('other');
    using _hold = await FolderHold.take(folder, nonce, createSystemClock());
    expect((await readdir(folder)).filter((name) => name.startsWith('lives-'))).toEqual(['lives-abababab']);
    expect((await stat(join(folder, 'lives-abababab'))).mode & 0o777).toBe(0o600);
  });

  it('is inherited again from an heir that has ended', async () => {
    await heldBy(elsewhere, markOf(process.pid), 40);
    const first = await FolderHold.inherit(folder, 'its ledger', nonce, createSystemClock());
    expect(first).not.toBeNull();
    await first?.giveUp();
    using second = await FolderHold.inherit(folder, 'its ledger', nonce, createSystemClock());
    expect(second).not.toBeNull();
    expect((await readdir(folder)).filter((name) => name.startsWith('heir-'))).toHaveLength(1);
  });

  it('is nobody’s when it was given up, or holds what no unit wrote', async () => {
    const hold = await FolderHold.take(folder, nonce, createSystemClock());
    await hold.giveUp();
    expect(await holderOf(folder)).toEqual({ kind: 'nobody' });
    await writeFile(join(folder, 'holder.json'), '{"host": 7');
    expect(await holderOf(folder)).toEqual({ kind: 'nobody' });
  });
});

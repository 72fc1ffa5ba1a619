import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSystemClock } from '../../../src/infra/clock/system-clock.ts';
import { FolderHold, lastSignIn } from '../../../src/infra/files/folder-hold.ts';
import { markOf } from '../../../src/infra/files/process-mark.ts';
import type { Inheritance } from '../../support/folder-heir-process.ts';

describe('the folder of a unit', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'troupe-folder-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const heldBy = async (host: string, mark: ReturnType<typeof markOf>, secondsAgo: number) => {
    const path = join(folder, 'holder.json');
    await writeFile(path, JSON.stringify({ host, process: mark }));
    const at = new Date(Date.now() - secondsAgo * 1_000);
    await utimes(path, at, at);
    return at.getTime();
  };
  const elsewhere = `not-${hostname()}`;

  it('is of a unit elsewhere that said lately that it lives', async () => {
    const at = await heldBy(elsewhere, markOf(process.pid), 20);
    expect(Math.abs(((await lastSignIn(folder)) ?? 0) - at)).toBeLessThan(1_000);
  });

  it.each([
    ['who has not said so for long', elsewhere, markOf(process.pid), 40],
    [
      'a process of this machine that has ended',
      hostname(),
      { pid: 2 ** 22 + 1, startedAt: 1, bootId: 'of an earlier boot' },
      1,
    ],
    ['this process itself', hostname(), markOf(process.pid), 1],
  ])('is not held by %s', async (_, host, mark, secondsAgo) => {
    await heldBy(host, mark, secondsAgo);
    expect(await lastSignIn(folder)).toBeNull();
  });

  it('is of a process of this machine that lives', async () => {
    await heldBy(hostname(), markOf(process.ppid), 1);
    expect(await lastSignIn(folder)).not.toBeNull();
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

  it('is inherited again from an heir that has ended', async () => {
    await heldBy(elsewhere, markOf(process.pid), 40);
    const first = await FolderHold.inherit(folder, 'its ledger', createSystemClock());
    expect(first).not.toBeNull();
    await first?.giveUp();
    using second = await FolderHold.inherit(folder, 'its ledger', createSystemClock());
    expect(second).not.toBeNull();
    expect((await readdir(folder)).filter((name) => name.startsWith('heir-'))).toHaveLength(1);
  });

  it('is nobody’s when it was given up, or holds what no unit wrote', async () => {
    const hold = await FolderHold.take(folder, createSystemClock());
    await hold.giveUp();
    expect(await lastSignIn(folder)).toBeNull();
    await writeFile(join(folder, 'holder.json'), '{"host": 7');
    expect(await lastSignIn(folder)).toBeNull();
  });
});

import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  crashLoopIn,
  type Defect,
  forgetDefects,
  noteDefect,
  quietMs,
  readDefects,
} from '../../../src/infra/files/defects.ts';
import { wall } from '../../support/builders.ts';

const defectAt = (ms: number): Defect => ({ at: wall(ms), incident: `i${ms}`, where: 'client', message: 'boom\n"x"' });

describe('a crash loop', () => {
  const start = 1_000_000;
  it.each([
    ['two defects', [0, 1_000], 2_000, false],
    ['three within a minute', [0, 30_000, 59_000], 60_000, true],
    ['three within more than a minute', [0, 30_000, 61_000], 62_000, false],
    ['the last three within a minute', [0, 500_000, 510_000, 520_000], 521_000, true],
    ['three, and no quiet time since', [0, 1_000, 2_000], 2_000 + quietMs - 1, true],
    ['three, and a quiet time since', [0, 1_000, 2_000], 2_000 + quietMs, false],
    ['three, before the clock was set back', [0, 1_000, 2_000], -500_000, true],
  ])('is told from %s', (_, times, now, isLoop) => {
    const defects = times.map((ms) => defectAt(start + ms));
    expect(crashLoopIn(defects, wall(start + now))).toEqual(isLoop ? defects.slice(-3) : null);
  });
});

describe('the record of defects', () => {
  let directory = '';
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'defects-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('holds the last few, until it is forgotten', () => {
    expect(readDefects(directory)).toEqual([]);
    for (let i = 1; i <= 15; i += 1) noteDefect(directory, defectAt(i));
    expect(readDefects(directory).map(({ at }) => at)).toEqual([6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    forgetDefects(directory);
    forgetDefects(directory);
    expect(readDefects(directory)).toEqual([]);
  });

  it('that was cut at any byte, or changed, has lost a line and takes the next', async () => {
    const path = join(directory, 'defects');
    for (const ms of [1, 2, 3]) noteDefect(directory, defectAt(ms));
    const whole = await readFile(path);
    for (let at = 0; at <= whole.length; at += 5) {
      await writeFile(path, whole);
      await truncate(path, at);
      const left = readDefects(directory);
      expect(left).toEqual([1, 2, 3].slice(0, left.length).map(defectAt));
      expect(left.length).toBeGreaterThanOrEqual(Math.floor((3 * at) / whole.length) - 1);
      noteDefect(directory, defectAt(9));
      expect(readDefects(directory)).toEqual([...left, defectAt(9)]);
    }
    const noise = Buffer.from([0, 255, 10, 123, 34, 10, 91]);
    await writeFile(path, Buffer.concat([noise, whole]));
    expect(readDefects(directory).length).toBeGreaterThanOrEqual(2);
  });

  it('holds the beginning of a long message', () => {
    noteDefect(directory, { ...defectAt(1), message: 'x'.repeat(100_000) });
    expect(readDefects(directory)[0]?.message).toHaveLength(500);
  });
});

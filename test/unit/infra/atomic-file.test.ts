import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readWhole, writeAtomic } from '../../../src/infra/files/atomic-file.ts';

describe('writing a file whole', () => {
  let directory = '';
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'atomic-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('replaces it with exactly the mode asked for, and leaves nothing else behind', async () => {
    const path = join(directory, 'file');
    await writeFile(path, 'old');
    await chmod(path, 0o666);
    const before = process.umask(0o077);
    await writeAtomic(path, 'new', 0o640);
    process.umask(before);
    expect(await readFile(path, 'utf8')).toBe('new');
    expect((await stat(path)).mode & 0o777).toBe(0o640);
    expect(await readdir(directory)).toEqual(['file']);
  });

  it('makes a new inode: whoever has the old file open keeps the old text', async () => {
    const path = join(directory, 'file');
    await writeAtomic(path, 'old', 0o600);
    const { ino } = await stat(path);
    await writeAtomic(path, 'new', 0o600);
    expect((await stat(path)).ino).not.toBe(ino);
  });

  it('is not disturbed by what an interrupted write left, and follows no link that lies there', async () => {
    const path = join(directory, 'file');
    await writeFile(`${path}.new`, 'half', { mode: 0o644 });
    await writeAtomic(path, 'whole', 0o600);
    expect(await readFile(path, 'utf8')).toBe('whole');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('that fails leaves the old file as it is', async () => {
    const path = join(directory, 'file');
    await writeAtomic(path, 'old', 0o600);
    await expect(writeAtomic(join(directory, 'missing', 'file'), 'x', 0o600)).rejects.toThrow(/ENOENT/);
    await expect(writeAtomic(directory, 'x', 0o600)).rejects.toThrow();
    expect(await readFile(path, 'utf8')).toBe('old');
    await rm(`${directory}.new`, { force: true });
  });

  it('is read back whole, as null when there is none, and not at all when it is too large', async () => {
    const path = join(directory, 'file');
    expect(await readWhole(path, 10)).toBeNull();
    await writeAtomic(path, '0123456789', 0o600);
    expect(await readWhole(path, 10)).toBe('0123456789');
    await expect(readWhole(path, 9)).rejects.toThrow(`cannot read ${path}: it has 10 bytes, more than 9`);
  });
});

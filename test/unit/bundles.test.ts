import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bundle, bundleInto } from '../../scripts/bundle.ts';

/** Where nothing is that a bundle could lean on. */
const place = mkdtempSync(join(tmpdir(), 'troupe-bundles-'));
let bundles: readonly Bundle[] = [];

beforeAll(async () => {
  bundles = await bundleInto(join(place, 'dist'));
}, 60_000);
afterAll(() => rmSync(place, { recursive: true, force: true }));

const inEmptyDirectory = async (...args: readonly string[]): Promise<string> => {
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: place, env: {} });
  return stdout;
};
const started = (...args: readonly string[]) => inEmptyDirectory(join(place, 'dist', 'troupe.mjs'), ...args);
const packagesOf = (file: string) => bundles.find((bundle) => bundle.file === file)?.packages ?? [];

describe('the bundles', () => {
  it('are one for each program that the executable loads', () => {
    const loaded = readFileSync('src/main.ts', 'utf8').matchAll(/import\('\.\/(?:programs\/)?(\w+)\.ts'\)/g);
    const files = bundles.map(({ file }) => file);
    expect(files.toSorted()).toEqual(['troupe.mjs', ...[...loaded].map(([, name]) => `${name}.mjs`)].toSorted());
    expect(readdirSync(join(place, 'dist')).toSorted()).toEqual([...files, 'assets', 'licences.txt'].toSorted());
  });

  it('load from an empty directory, each by itself', async () => {
    for (const { file } of bundles.filter(({ file }) => file !== 'troupe.mjs')) {
      const module = JSON.stringify(join(place, 'dist', file));
      const program = `console.log(Object.keys(await import(${module})).length)`;
      expect([file, await inEmptyDirectory('--input-type=module', '--eval', program)]).not.toEqual([file, '0\n']);
    }
  });

  it('load no fetch, which nobody here uses', async () => {
    for (const { file } of bundles.filter(({ file }) => file !== 'troupe.mjs')) {
      const module = JSON.stringify(join(place, 'dist', file));
      const program = `await import(${module}); console.log(process.moduleLoadList.filter((name) => name.includes('undici')))`;
      expect([file, await inEmptyDirectory('--input-type=module', '--eval', program)]).toEqual([file, '[]\n']);
    }
  });

  it('start from an empty directory', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(await started('version')).toBe(`troupe ${version}\n`);
    expect(await started('unit', '--help')).toContain('--backplane');
    expect(await started('demo', '--help')).toContain('--once');
    expect(await started('ready', '--help')).toContain('usage: troupe ready');
    await expect(started('ready', '--api', '/nowhere.sock')).rejects.toMatchObject({
      code: 3,
      stderr: 'troupe: the unit does not answer: /nowhere.sock: there is no such socket\n',
    });
  });

  it('carry no library that their program does not need', () => {
    expect(packagesOf('troupe.mjs')).toEqual([]);
    expect(packagesOf('ready.mjs')).toEqual([]);
    expect(packagesOf('cli.mjs')).toEqual(['yaml', 'zod']);
    for (const library of ['ioredis', 'fastify', 'nact', 'pino'])
      expect([library, packagesOf('demo.mjs').includes(library)]).toEqual([library, false]);
    expect(packagesOf('unit.mjs')).toEqual(expect.arrayContaining(['fastify', 'ini', 'ioredis', 'nact', 'pg', 'pino']));
  });

  it('come with the licence of everything they hold', () => {
    const licences = readFileSync(join(place, 'dist', 'licences.txt'), 'utf8');
    const named = [...licences.matchAll(/^(\S+) \d+\.\d+\.\d+\S* \(\S+\)$/gm)].map(([, name]) => name);
    expect(new Set(named)).toEqual(new Set(bundles.flatMap(({ packages }) => packages)));
  });
});

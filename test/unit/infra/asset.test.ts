import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { asset, assetPath, folderOf } from '../../../src/infra/files/asset.ts';

describe('an asset', () => {
  it('is found from the sources by its path under src/infra', () => {
    expect(existsSync(assetPath('redis/scripts/join.lua'))).toBe(true);
    expect(asset('redis/scripts/join.lua')).toMatch(/^#!lua/);
  });

  it('is found beside a bundle, whatever that is called', () => {
    expect(folderOf('file:///opt/troupe/src/infra/files/asset.ts')).toBe('../');
    expect(folderOf('file:///opt/troupe/dist/unit.mjs')).toBe('./assets/');
    expect(
      new URL(
        `${folderOf('file:///opt/troupe/dist/unit.mjs')}redis/scripts/join.lua`,
        'file:///opt/troupe/dist/unit.mjs',
      ).pathname,
    ).toBe('/opt/troupe/dist/assets/redis/scripts/join.lua');
  });
});

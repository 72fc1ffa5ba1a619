import { describe, expect, it } from 'vitest';
import { featuresOf, type JujuFeatures, type JujuVersion } from '../../../src/infra/juju/version.ts';

describe('the features of a Juju', () => {
  it.each<[keyof JujuFeatures, JujuVersion, JujuVersion]>([
    ['secrets', [3, 0, 2], [3, 0, 3]],
    ['logForwarding', [3, 3, 7], [3, 4, 0]],
    ['revisionRemoval', [3, 6, 10], [3, 6, 11]],
  ])('%s are not there in %j, and are in %j and later', (feature, before, since) => {
    expect(featuresOf(before)[feature]).toBe(false);
    expect(featuresOf(since)[feature]).toBe(true);
    expect(featuresOf([4, 0, 0])[feature]).toBe(true);
    expect(featuresOf([2, 9, 51])[feature]).toBe(false);
  });

  it('are not counted on when the version is unknown', () => {
    expect(Object.values(featuresOf(null))).not.toContain(true);
  });
});

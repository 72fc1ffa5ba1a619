import { describe, expect, it } from 'vitest';
import { compareVersions, formatVersion, isAtLeast, parseVersion, versionOf } from '../../../src/pgbouncer/version.ts';
import { weaknessesOf } from '../../../src/pgbouncer/weaknesses.ts';

describe('a version', () => {
  it.each([
    ['PgBouncer 1.24.1', '1.24.1'],
    ['PgBouncer 1.18.0\nlibevent 2.1.12-stable\nadns: c-ares 1.18.1', '1.18.0'],
    ['1.26.1/bouncer', '1.26.1'],
    ['1.25.0', '1.25.0'],
    ['PgBouncer 1.27.0dev', '1.27.0'],
  ])('is read from %j', (text, version) => {
    const parsed = parseVersion(text);
    expect(parsed === null ? null : formatVersion(parsed)).toBe(version);
  });

  it.each(['', 'PgBouncer', 'Odyssey 1.2.3', 'PgBouncer 1.24', '1.2.3.4', 'v1.2.3'])('is not read from %j', (text) => {
    expect(parseVersion(text)).toBeNull();
  });

  it('is compared by its numbers', () => {
    const sorted = ['1.9.0', '1.18.0', '1.18.10', '1.24.1', '1.100.0', '2.0.0'] as const;
    expect(sorted.map(versionOf).toSorted(compareVersions).map(formatVersion)).toEqual([...sorted]);
    expect(isAtLeast(versionOf('1.24.1'), '1.24')).toBe(true);
    expect(isAtLeast(versionOf('1.24.0'), '1.24.1')).toBe(false);
    expect(isAtLeast(versionOf('2.0.0'), '1.99')).toBe(true);
  });
});

describe('weaknesses', () => {
  const idsOf = (version: Parameters<typeof versionOf>[0]) => weaknessesOf(versionOf(version)).map(({ id }) => id);

  it('are told with the version that mends them', () => {
    expect(idsOf('1.26.1')).toEqual([]);
    expect(idsOf('1.26.0')).toEqual(['CVE-2026-107350', 'CVE-2026-107349']);
    expect(idsOf('1.25.1')).toContain('scram-reconnect');
    expect(idsOf('1.24.1')).toEqual(expect.arrayContaining(['CVE-2026-107349', 'CVE-2026-6668', 'CVE-2026-6664']));
    expect(idsOf('1.24.1')).not.toContain('no-drain');
    expect(idsOf('1.18.0')).toEqual(
      expect.arrayContaining(['CVE-2026-107350', 'CVE-2026-19888', 'no-drain', 'cancel-lost']),
    );
    expect(idsOf('1.18.0')).not.toContain('CVE-2026-107349');
    for (const { sentence, mendedIn } of weaknessesOf(versionOf('1.18.0'))) {
      expect(sentence).not.toMatch(/[.]$/);
      expect(weaknessesOf(versionOf(mendedIn)).map((left) => left.sentence)).not.toContain(sentence);
    }
  });
});

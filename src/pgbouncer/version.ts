import type { PgBouncerVersion } from '../actors/model/workload.ts';

/** A version as `-V` and `SHOW VERSION` say it (`PgBouncer 1.24.1`), as ParameterStatus does (`1.24.1/bouncer`), or bare; else null. */
export const parseVersion = (text: string): PgBouncerVersion | null => {
  const [, major, minor, patch] = /^(?:PgBouncer )?(\d{1,4})\.(\d{1,4})\.(\d{1,4})(?![\d.])/.exec(text) ?? [];
  return major === undefined ? null : { major: Number(major), minor: Number(minor), patch: Number(patch) };
};

/** Negative when `a` is older than `b`, 0 when they are the same. */
export const compareVersions = (a: PgBouncerVersion, b: PgBouncerVersion): number =>
  a.major - b.major || a.minor - b.minor || a.patch - b.patch;

export const formatVersion = ({ major, minor, patch }: PgBouncerVersion): string => `${major}.${minor}.${patch}`;

/** A release, without its last number when the first of a series is meant: `1.23`, `1.24.1`. */
export type Release = `${number}.${number}` | `${number}.${number}.${number}`;

export const isAtLeast = (version: PgBouncerVersion, release: Release): boolean =>
  compareVersions(version, versionOf(release)) >= 0;

export const versionOf = (release: Release): PgBouncerVersion => {
  const [major = 0, minor = 0, patch = 0] = release.split('.').map(Number);
  return { major, minor, patch };
};

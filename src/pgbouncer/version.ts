import type { PgBouncerVersion } from '../actors/model/workload.ts';

/** From `PgBouncer 1.24.1` (`pgbouncer -V`, SHOW VERSION) or a bare `1.24.1`; null when it is neither. */
export const parseVersion = (text: string): PgBouncerVersion | null => {
  const [, major, minor, patch] = /^\s*(?:PgBouncer\s+)?(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?/i.exec(text) ?? [];
  return major === undefined || minor === undefined
    ? null
    : { major: Number(major), minor: Number(minor), patch: Number(patch ?? 0) };
};

export const formatVersion = ({ major, minor, patch }: PgBouncerVersion): string => `${major}.${minor}.${patch}`;

/** A release as the field writes it. */
export type Release = `${number}.${number}` | `${number}.${number}.${number}`;

export const isAtLeast = (version: PgBouncerVersion, release: Release): boolean => {
  const [major = 0, minor = 0, patch = 0] = release.split('.').map(Number);
  if (version.major !== major) return version.major > major;
  if (version.minor !== minor) return version.minor > minor;
  return version.patch >= patch;
};

/** The oldest that is served (Debian 12). */
export const oldest: Release = '1.18';

import type { PgBouncerVersion } from '../actors/model/workload.ts';
import { isAtLeast, type Release } from './version.ts';

/** What a found version is known to suffer from that an operator should act on. */
export interface Weakness {
  readonly id: string;
  readonly sentence: string;
  readonly mendedIn: Release;
}

interface Known extends Weakness {
  readonly since: Release;
}

/** By the ranges that upstream states; distributions may have mended some earlier in their own builds. */
const known: readonly Known[] = [
  {
    id: 'CVE-2026-107349',
    since: '1.20',
    mendedIn: '1.26.1',
    sentence:
      'one connection of a stranger can freeze the process when ignore_startup_parameters is set, so it is left empty: clients that send extra_float_digits (JDBC, Go) are refused',
  },
  {
    id: 'CVE-2026-107350',
    since: '1.17',
    mendedIn: '1.26.1',
    sentence: 'a client with one login can become any other SCRAM user',
  },
  {
    id: 'CVE-2026-19888',
    since: '1.11',
    mendedIn: '1.26.0',
    sentence: 'a stranger can crash the process during login',
  },
  {
    id: 'CVE-2026-6668',
    since: '1.5',
    mendedIn: '1.26.0',
    sentence: 'a stranger can send the process into an endless loop',
  },
];

export const weaknessesOf = (version: PgBouncerVersion): readonly Weakness[] =>
  known.filter(({ since, mendedIn }) => isAtLeast(version, since) && !isAtLeast(version, mendedIn));

/** A non-empty list can be used to freeze these versions from outside, before any login. */
export const isFrozenByStartupParameters = (version: PgBouncerVersion): boolean =>
  isAtLeast(version, '1.20') && !isAtLeast(version, '1.26.1');

import type { PgBouncerVersion } from '../actors/model/workload.ts';
import { isAtLeast, type Release } from './version.ts';

/** What a found version is known to suffer from, where it matters as Troupe runs it. */
export interface Weakness {
  readonly id: string;
  readonly sentence: string;
  readonly mendedIn: Release;
}

/**
 * By the ranges that upstream states; a distribution may have mended some in a build of the same version, which shows nowhere.
 * Left out, because nothing rendered here meets their conditions: CVE-2025-2291 (the auth_query that is PgBouncer's own), CVE-2025-12819
 * (one that is not schema-qualified), CVE-2026-6667
 * (stats users that are not our own), CVE-2026-107348 (max_packet_size above its default).
 */
const known: readonly (Weakness & { readonly since: Release })[] = [
  {
    id: 'CVE-2026-107350',
    since: '1.17',
    mendedIn: '1.26.1',
    sentence: 'whoever has one login can log in as any other one',
  },
  {
    id: 'CVE-2026-107349',
    since: '1.20',
    mendedIn: '1.26.1',
    sentence:
      'a stranger could freeze an instance through ignore_startup_parameters, which is left empty here: clients that send such parameters (JDBC and Go send extra_float_digits) are refused',
  },
  {
    id: 'CVE-2026-19888',
    since: '1.11',
    mendedIn: '1.26.0',
    sentence: 'a stranger can crash an instance by a login that breaks off',
  },
  {
    id: 'CVE-2026-6668',
    since: '1.0',
    mendedIn: '1.26.0',
    sentence: 'a stranger can freeze an instance by a message that is too long',
  },
  {
    id: 'CVE-2026-6669',
    since: '1.11',
    mendedIn: '1.26.0',
    sentence: 'a server that is not to be trusted can keep an instance busy by a password check that takes for ever',
  },
  {
    id: 'CVE-2026-6664',
    since: '1.11',
    mendedIn: '1.25.2',
    sentence: 'a stranger can crash an instance by a malformed login',
  },
  {
    id: 'CVE-2026-6665',
    since: '1.11',
    mendedIn: '1.25.2',
    sentence: 'a server that is not to be trusted can crash an instance by a login',
  },
  {
    id: 'CVE-2026-6666',
    since: '1.20',
    mendedIn: '1.25.2',
    sentence: 'a server that is not to be trusted can crash an instance by an error without a code',
  },
  {
    id: 'scram-reconnect',
    since: '1.25.0',
    mendedIn: '1.26.0',
    sentence: 'a server connection can fail to log in again with the login of its client',
  },
  { id: 'crashes-1.23.0', since: '1.23.0', mendedIn: '1.23.1', sentence: 'it crashes now and then' },
  {
    id: 'no-drain',
    since: '1.0',
    mendedIn: '1.23.0',
    sentence: 'an instance that is stopped or restarted cannot wait for its clients',
  },
  {
    id: 'cancel-crash',
    since: '1.18',
    mendedIn: '1.21.0',
    sentence: 'it crashes now and then when queries are cancelled',
  },
  {
    id: 'cancel-lost',
    since: '1.0',
    mendedIn: '1.19.0',
    sentence: 'a request to cancel a query works only when it happens to reach the instance that runs it',
  },
];

export const weaknessesOf = (version: PgBouncerVersion): readonly Weakness[] =>
  known
    .filter(({ since, mendedIn }) => isAtLeast(version, since) && !isAtLeast(version, mendedIn))
    .map(({ id, sentence, mendedIn }) => ({ id, sentence, mendedIn }));

/** One connection of a stranger freezes these for good when ignore_startup_parameters holds anything (CVE-2026-107349). */
export const canBeFrozenThroughStartup = (version: PgBouncerVersion): boolean =>
  isAtLeast(version, '1.20') && !isAtLeast(version, '1.26.1');

import { describe, expect, it } from 'vitest';
import { Secret } from '../../../src/actors/model/secret.ts';
import { descriptorsNeeded } from '../../../src/pgbouncer/descriptors.ts';

const ini = (databases: readonly string[]): string =>
  ['[databases]', ...databases, '', '[pgbouncer]', 'max_client_conn = 100', 'default_pool_size = 20', ''].join('\n');
const logins = (count: number): Secret => new Secret('"a" "b"\n'.repeat(count));

describe('the descriptors of an instance', () => {
  const without = descriptorsNeeded(ini([]), logins(1));

  it('are those of its clients and some for itself', () => {
    expect(without).toBeGreaterThan(100);
    expect(without).toBeLessThan(200);
  });

  it('are more by a full pool for each login and database', () => {
    expect(descriptorsNeeded(ini(['x = host=h', 'y = host=h pool_size=5']), logins(3))).toBe(without + 3 * 20 + 3 * 5);
  });

  it('are bounded by what the database allows', () => {
    expect(descriptorsNeeded(ini(['x = host=h pool_size=8 max_db_connections=9']), logins(3))).toBe(without + 9);
  });
});

import type { Redis } from 'ioredis';
import type { Log } from '../files/log.ts';

/** Too old a server is refused with a sentence; settings that endanger what is kept are said once per connection. */
export const checkServer = async (redis: Redis, store: string, log: Log, turn: number): Promise<string | null> => {
  const facts = await redis.info('everything').catch(() => null);
  if (facts === null) return null; // Without the right to INFO we go without these checks.
  const major = Number(/^redis_version:(\d+)/m.exec(facts)?.[1]);
  if (major < 7) return `the store at ${store} is Redis ${major}: Troupe needs Redis 7 or Valkey 8, or newer`;
  if (turn === 1) for (const warning of warningsIn(facts)) log.warn({ store }, warning);
  return null;
};

const warningsIn = (facts: string): readonly string[] => [
  ...(/^aof_enabled:0/m.test(facts) ? ['the store keeps nothing over a restart: set "appendonly yes"'] : []),
  ...(/^maxmemory_policy:(?!noeviction)/m.test(facts)
    ? ['the store may evict our keys: set "maxmemory-policy noeviction"']
    : []),
];

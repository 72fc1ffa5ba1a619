import type { Redis } from 'ioredis';
import type { Log } from '../files/log.ts';

/** Too old a server is refused with a sentence; settings that endanger what is kept are said once. */
export const checkServer = async (redis: Redis, store: string, log: Log, isFirst: boolean): Promise<string | null> => {
  const facts = await redis.info().catch(() => null);
  if (facts === null) return null; // Without the right to INFO we go without these checks.
  const { tooOld, warnings } = judgeServer(facts);
  if (isFirst) for (const warning of warnings) log.warn({ store }, warning);
  return tooOld === null ? null : `the store at ${store} is ${tooOld}: Troupe needs Redis 7 or Valkey 8, or newer`;
};

/** From the text of INFO. Valkey tells the version of Redis that it stands in for, and its own. */
export const judgeServer = (
  facts: string,
): { readonly tooOld: string | null; readonly warnings: readonly string[] } => {
  const [redis, valkey] = [/^redis_version:(\d+)\S*/m.exec(facts), /^valkey_version:(\d+)\S*/m.exec(facts)];
  const isTooOld = valkey === null ? Number(redis?.[1]) < 7 : Number(valkey[1]) < 8;
  const [line = ''] = valkey ?? redis ?? [];
  const [program = '', version = ''] = line.split('_version:');
  return {
    tooOld: isTooOld ? `${program === 'valkey' ? 'Valkey' : 'Redis'} ${version}` : null,
    warnings: [
      ...(/^aof_enabled:0/m.test(facts) ? ['the store keeps nothing over a restart: set "appendonly yes"'] : []),
      ...(/^maxmemory_policy:(?!noeviction)/m.test(facts)
        ? ['the store may evict our keys: set "maxmemory-policy noeviction"']
        : []),
    ],
  };
};

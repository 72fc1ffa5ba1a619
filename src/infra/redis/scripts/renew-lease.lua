#!lua flags=allow-oom
-- Prolongs a lease that is still held; an expired one is not revived.
-- KEYS  1 meta   2 lease
-- ARGV  1 nonce   2 epoch   3 ttl in ms
-- reply {'RENEWED'} | {'LOST'}
if fence(KEYS[1], KEYS[2], ARGV[1], ARGV[2]) then return { 'LOST' } end
redis.call('HSET', KEYS[2], 'x', int(now_ms() + num(ARGV[3])))
redis.call('HINCRBY', KEYS[2], 's', 1)
return { 'RENEWED' }

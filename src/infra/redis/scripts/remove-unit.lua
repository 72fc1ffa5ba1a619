#!lua flags=allow-oom
-- Takes a departed unit off the roster, with its databag; one that is back is left alone.
-- KEYS  1 meta   2 lease   3 idx   4 members   5 hb   6 databag of the unit
-- ARGV  1 nonce   2 epoch   3 unit   4 ms after which silence means dead   5 tag   6 channel   7 object name of the databag
-- reply {'OK'} | {'GONE'} | {'FENCED'} | {'CONFLICT'} | {'UNSEEDED'}
local text = redis.call('HGET', KEYS[4], ARGV[3])
if not text then return { 'GONE' } end
local refused = fence(KEYS[1], KEYS[2], ARGV[1], ARGV[2])
if refused then return refused end
if is_held(text, redis.call('ZSCORE', KEYS[5], ARGV[3]), ARGV[4]) then return { 'CONFLICT' } end
redis.call('HDEL', KEYS[4], ARGV[3])
redis.call('ZREM', KEYS[5], ARGV[3])
redis.call('DEL', KEYS[6])
touch(KEYS[1], KEYS[3], ARGV[5], ARGV[6], 'members', ARGV[7])
return { 'OK' }

#!lua flags=allow-oom
-- Removes an object of the leader when it is still the one that the leader saw; the index keeps its name, so that all hear of it.
-- KEYS  1 meta   2 lease   3 idx   4 object
-- ARGV  1 nonce   2 epoch   3 object name   4 version seen   5 digest seen   6 tag   7 channel
-- reply {'OK'} | {'GONE'} | {'FENCED'} | {'CONFLICT'} | {'UNSEEDED'}
local b = redis.call('HMGET', KEYS[4], 'v', 'e', 'c')
if not b[1] then return { 'GONE' } end
local refused = fence(KEYS[1], KEYS[2], ARGV[1], ARGV[2])
if refused then return refused end
if num(b[2]) > num(ARGV[2]) then return { 'FENCED' } end
if b[1] ~= ARGV[4] or b[3] ~= ARGV[5] then return { 'CONFLICT' } end
redis.call('DEL', KEYS[4])
touch(KEYS[1], KEYS[3], ARGV[6], ARGV[7], ARGV[3])
return { 'OK' }

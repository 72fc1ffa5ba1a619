#!lua
-- Replaces the intent when it is still the one that the writer saw.
-- KEYS  1 meta   2 idx   3 intent
-- ARGV  1 version seen   2 digest seen   3 request   4 digest   5 body   6 tag   7 channel
-- reply {'OK'} | {'DUP', {version, epoch, digest, request, body}} | {'CONFLICT'} | {'UNSEEDED'}
local b = redis.call('HMGET', KEYS[3], 'v', 'c', 'q')
if b[3] == ARGV[3] then return { 'DUP', redis.call('HMGET', KEYS[3], 'v', 'e', 'c', 'q', 'b') } end
if redis.call('HGET', KEYS[1], 'sealed') ~= '1' then return { 'UNSEEDED' } end
if (b[1] or '0') ~= ARGV[1] or (b[2] or '') ~= ARGV[2] then return { 'CONFLICT' } end
redis.call('HSET', KEYS[3], 'v', int(num(ARGV[1]) + 1), 'e', '0', 'c', ARGV[4], 'q', ARGV[3], 'b', ARGV[5])
touch(KEYS[1], KEYS[2], ARGV[6], ARGV[7], 'intent')
return { 'OK' }

#!lua
-- Stores an object of the leader when it is still the one that the leader saw.
-- KEYS  1 meta   2 lease   3 idx   4 object
-- ARGV  1 nonce   2 epoch   3 object name   4 version seen   5 digest seen   6 request   7 digest   8 body   9 tag   10 channel
-- reply {'OK'} | {'DUP', {version, epoch, digest, request, body}} | {'FENCED'} | {'CONFLICT'} | {'UNSEEDED'}
local b = redis.call('HMGET', KEYS[4], 'v', 'e', 'c', 'q')
if b[4] == ARGV[6] then return { 'DUP', redis.call('HMGET', KEYS[4], 'v', 'e', 'c', 'q', 'b') } end
local refused = fence(KEYS[1], KEYS[2], ARGV[1], ARGV[2])
if refused then return refused end
if num(b[2]) > num(ARGV[2]) then return { 'FENCED' } end
if (b[1] or '0') ~= ARGV[4] or (b[3] or '') ~= ARGV[5] then return { 'CONFLICT' } end
redis.call('HSET', KEYS[4], 'v', int(num(ARGV[4]) + 1), 'e', ARGV[2], 'c', ARGV[7], 'q', ARGV[6], 'b', ARGV[8])
touch(KEYS[1], KEYS[3], ARGV[9], ARGV[10], ARGV[3])
return { 'OK' }

#!lua
-- Stores the generation after the one that the leader saw; its body is written once.
-- KEYS  1 meta   2 lease   3 idx   4 gen   5 body of the new generation   6 body of a generation that is dropped
-- ARGV  1 nonce   2 epoch   3 generation seen   4 request   5 digest   6 body   7 tag   8 channel   9 '1': drop KEYS 6
-- reply {'OK'} | {'DUP', {version, epoch, digest, request, body}} | {'FENCED'} | {'CONFLICT'} | {'UNSEEDED'}
local b = redis.call('HMGET', KEYS[5], 'e', 'q')
if b[2] == ARGV[4] then return { 'DUP', redis.call('HMGET', KEYS[5], 'v', 'e', 'c', 'q', 'b') } end
local refused = fence(KEYS[1], KEYS[2], ARGV[1], ARGV[2])
if refused then return refused end
if (redis.call('HGET', KEYS[4], 'v') or '0') ~= ARGV[3] or num(b[1]) >= num(ARGV[2]) then return { 'CONFLICT' } end
local v = int(num(ARGV[3]) + 1)
redis.call('HSET', KEYS[5], 'v', v, 'e', ARGV[2], 'c', ARGV[5], 'q', ARGV[4], 'b', ARGV[6])
redis.call('HSET', KEYS[4], 'v', v, 'e', ARGV[2], 'c', ARGV[5], 'q', ARGV[4])
if ARGV[9] == '1' then redis.call('DEL', KEYS[6]) end
touch(KEYS[1], KEYS[3], ARGV[7], ARGV[8], 'gen')
return { 'OK' }

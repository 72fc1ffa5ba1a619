#!lua
-- Stores the databag of a unit, for the process that speaks for the unit.
-- KEYS  1 meta   2 idx   3 members   4 databag
-- ARGV  1 unit   2 nonce   3 object name   4 request   5 digest   6 body   7 tag   8 channel
-- reply {'OK'} | {'DUP'} | {'SUPERSEDED'} | {'STRANGER'}
local nonce = member(redis.call('HGET', KEYS[3], ARGV[1]))
if not nonce then return { 'STRANGER' } end
if nonce ~= ARGV[2] then return { 'SUPERSEDED' } end
local b = redis.call('HMGET', KEYS[4], 'v', 'q')
if b[2] == ARGV[4] then return { 'DUP' } end
redis.call('HSET', KEYS[4], 'v', int(num(b[1]) + 1), 'e', '0', 'c', ARGV[5], 'q', ARGV[4], 'b', ARGV[6], 'n', nonce)
touch(KEYS[1], KEYS[2], ARGV[7], ARGV[8], ARGV[3])
return { 'OK' }

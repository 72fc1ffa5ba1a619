#!lua flags=allow-oom
-- Makes a process the one that speaks for its unit; a later start of the unit replaces an earlier one, whose lease ends.
-- KEYS  1 meta   2 lease   3 idx   4 members   5 hb
-- ARGV  1 unit   2 nonce   3 boot   4 instances   5 ms after which silence means dead   6 tag   7 channel
-- reply {'JOINED'} | {'DUPLICATE', ms since it was heard} | {'UNSEEDED'}
if redis.call('HGET', KEYS[1], 'sealed') ~= '1' then return { 'UNSEEDED' } end
local text, heard = redis.call('HGET', KEYS[4], ARGV[1]), redis.call('ZSCORE', KEYS[5], ARGV[1])
local nonce, boot = member(text)
if nonce ~= ARGV[2] and is_held(text, heard, ARGV[5]) and num(boot) >= num(ARGV[3]) then
  return { 'DUPLICATE', now_ms() - num(heard) }
end
local joined = ARGV[2] .. ' ' .. ARGV[3] .. ' live ' .. ARGV[4]
if joined == text then return { 'JOINED' } end
redis.call('HSET', KEYS[4], ARGV[1], joined)
redis.call('ZADD', KEYS[5], int(now_ms()), ARGV[1])
local names = { 'members' }
local l = redis.call('HMGET', KEYS[2], 'h', 'n')
if l[1] == ARGV[1] and l[2] ~= ARGV[2] then
  redis.call('HSET', KEYS[2], 'x', '0')
  names[2] = 'lease'
end
touch(KEYS[1], KEYS[3], ARGV[6], ARGV[7], unpack(names))
return { 'JOINED' }

#!lua flags=allow-oom
-- Takes a unit out of the living: down keeps its number and databag, departed gives both up.
-- KEYS  1 meta   2 idx   3 members   4 hb   5 databag of the unit
-- ARGV  1 unit   2 nonce   3 'down' or 'departed'   4 tag   5 channel   6 object name of the databag
-- reply {'LEFT'}
local nonce, boot, state, instances = member(redis.call('HGET', KEYS[3], ARGV[1]))
if nonce ~= ARGV[2] or state == ARGV[3] then return { 'LEFT' } end
if ARGV[3] == 'down' then
  redis.call('HSET', KEYS[3], ARGV[1], nonce .. ' ' .. boot .. ' down ' .. instances)
  touch(KEYS[1], KEYS[2], ARGV[4], ARGV[5], 'members')
else
  redis.call('HDEL', KEYS[3], ARGV[1])
  redis.call('ZREM', KEYS[4], ARGV[1])
  redis.call('DEL', KEYS[5])
  touch(KEYS[1], KEYS[2], ARGV[4], ARGV[5], 'members', ARGV[6])
end
return { 'LEFT' }

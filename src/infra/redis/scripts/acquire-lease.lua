#!lua flags=allow-oom
-- Grants the lease when it is free or already the caller's; a new grant has an epoch above all that the store or the caller has seen.
-- KEYS  1 meta   2 lease   3 idx   4 members
-- ARGV  1 unit   2 nonce   3 ttl in ms   4 highest epoch seen   5 tag   6 channel
-- reply {'GRANTED', epoch} | {'HELD', unit, ms until free} | {'UNSEEDED'} | {'STRANGER'}
local m = redis.call('HMGET', KEYS[1], 'sealed', 'floor')
if m[1] ~= '1' then return { 'UNSEEDED' } end
if member(redis.call('HGET', KEYS[4], ARGV[1])) ~= ARGV[2] then return { 'STRANGER' } end
local l = redis.call('HMGET', KEYS[2], 'e', 'h', 'n', 'x', 'hf', 'hx')
local now, epoch, floor = now_ms(), num(l[1]), math.max(num(m[2]), num(ARGV[4]))
local valid = num(l[4]) > now and epoch >= floor
if valid and l[3] == ARGV[2] then
  redis.call('HSET', KEYS[2], 'x', int(now + num(ARGV[3])))
  return { 'GRANTED', int(epoch) }
end
if floor > num(m[2]) then redis.call('HSET', KEYS[1], 'floor', int(floor)) end
if valid then return { 'HELD', l[2], num(l[4]) - now } end
if num(l[6]) > now and l[5] ~= '' and l[5] ~= ARGV[1] then return { 'HELD', l[5], num(l[6]) - now } end
epoch = int(math.max(epoch, floor) + 1)
redis.call('HSET', KEYS[2], 'e', epoch, 'h', ARGV[1], 'n', ARGV[2], 'x', int(now + num(ARGV[3])), 's', '0', 'hf', '', 'hx', '0')
redis.call('HSET', KEYS[1], 'floor', epoch)
touch(KEYS[1], KEYS[3], ARGV[5], ARGV[6], 'lease')
return { 'GRANTED', epoch }

#!lua
-- Gives an empty store its beginning, and hands back what it lost: of each object the newest by (epoch, version) stays, in any order of offers.
-- KEYS  1 meta   2 idx   3... for each object: head and body (the same key, but for generations)
-- ARGV  1 life   2 sealed probe   3 highest epoch seen   4 tag   5 channel   6... for each object: name version epoch digest request body
-- reply {'OFFERED', {object taken, ...}}
if redis.call('HGET', KEYS[1], 'sealed') ~= '1' then
  redis.call('HSET', KEYS[1], 'inc', ARGV[1], 'seal', ARGV[2], 'fmt', '1', 'rev', '0', 'rn', ARGV[4], 'crev', '0', 'floor', '0', 'sealed', '1')
end
if num(ARGV[3]) > num(redis.call('HGET', KEYS[1], 'floor')) then redis.call('HSET', KEYS[1], 'floor', ARGV[3]) end
local taken = {}
for i = 6, #ARGV, 6 do
  local name, v, e, c, q = unpack(ARGV, i, i + 4)
  local head, body = KEYS[3 + (i - 6) / 3], KEYS[4 + (i - 6) / 3]
  local b = redis.call('HMGET', head, 'e', 'v')
  if not b[2] or num(e) > num(b[1]) or (num(e) == num(b[1]) and num(v) > num(b[2])) then
    redis.call('HSET', head, 'v', v, 'e', e, 'c', c, 'q', q)
    redis.call('HSET', body, 'v', v, 'e', e, 'c', c, 'q', q, 'b', ARGV[i + 5])
    taken[#taken + 1] = name
  end
end
if #taken > 0 then touch(KEYS[1], KEYS[2], ARGV[4], ARGV[5], unpack(taken)) end
return { 'OFFERED', taken }

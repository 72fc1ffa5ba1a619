#!lua flags=allow-oom
-- Says that a unit lives, and answers who leads, who is there, and which objects changed since the unit last read.
-- KEYS  1 meta   2 lease   3 idx   4 members   5 hb   6 gen
-- ARGV  1 unit   2 nonce   3 highest epoch seen   4 life   5 revision   6 tag   (4-6: of the last reading, or empty)
-- reply {'BEAT', life, rev, tag, {epoch, holder, nonce, ms left}, generation, {unit, silent ms, ...}, 'DELTA'|'ALL', {object, ...}, {unit, member, ...}} | {'UNSEEDED'} | {'STRANGER'}
local m = redis.call('HMGET', KEYS[1], 'sealed', 'floor', 'inc', 'rev', 'rn', 'crev')
if m[1] ~= '1' then return { 'UNSEEDED' } end
local nonce, _, state = member(redis.call('HGET', KEYS[4], ARGV[1]))
if nonce ~= ARGV[2] then return { 'STRANGER' } end

local now, floor = now_ms(), math.max(num(m[2]), num(ARGV[3]))
if state == 'live' then redis.call('ZADD', KEYS[5], int(now), ARGV[1]) end
if floor > num(m[2]) then redis.call('HSET', KEYS[1], 'floor', int(floor)) end

local l = redis.call('HMGET', KEYS[2], 'e', 'h', 'n', 'x')
local epoch, left = num(l[1]), num(l[4]) - now
local lease = { int(math.max(epoch, floor)), '', '', 0 }
if left > 0 and epoch >= floor then lease = { int(epoch), l[2], l[3], left } end

local silent = {}
local heard = redis.call('ZRANGE', KEYS[5], 0, -1, 'WITHSCORES')
for i = 1, #heard, 2 do
  silent[i], silent[i + 1] = heard[i], math.max(0, now - num(heard[i + 1]))
end

local rev, since, mode, names = num(m[4]), tonumber(ARGV[5]), 'DELTA', nil
if m[3] ~= ARGV[4] or not since or rev < since or (rev == since and m[5] ~= ARGV[6]) or since < num(m[6]) then
  mode, names = 'ALL', redis.call('ZRANGE', KEYS[3], 0, -1)
elseif rev == since then
  names = {}
else
  names = redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. int(since), '+inf')
end
local members, changed = {}, mode == 'ALL'
for _, name in ipairs(names) do changed = changed or name == 'members' end
if changed then members = redis.call('HGETALL', KEYS[4]) end
return { 'BEAT', m[3], int(rev), m[5], lease, redis.call('HGET', KEYS[6], 'v') or '0', silent, mode, names, members }

#!lua flags=allow-oom
-- Enters a process under a number: the first of its own that no live unit holds, else the first of others that is known to be given
-- up (who is silent may live), else (when asked to) the lowest free one.
-- KEYS  1 meta   2 idx   3 members   4 hb
-- ARGV  1 application   2 nonce   3 instances   4 ms after which silence means dead   5 '1': take a new one   6 tag   7 channel   8 how many are its own   9... preferred units, these first
-- reply {'CLAIMED', unit} | {'LOOKAGAIN', {unit, heard at, ...}} | {'UNSEEDED'}
if redis.call('HGET', KEYS[1], 'sealed') ~= '1' then return { 'UNSEEDED' } end
local members = redis.call('HGETALL', KEYS[3])
for i = 1, #members, 2 do
  if member(members[i + 1]) == ARGV[2] then return { 'CLAIMED', members[i] } end
end
local free, held, own = nil, {}, num(ARGV[8])
for i = #ARGV, 9, -1 do
  local text, heard = redis.call('HGET', KEYS[3], ARGV[i]), redis.call('ZSCORE', KEYS[4], ARGV[i])
  local _, _, state = member(text)
  if state ~= 'live' or (i < 9 + own and not is_held(text, heard, ARGV[4])) then
    free = ARGV[i]
  elseif i < 9 + own then
    held[#held + 1], held[#held + 2] = ARGV[i], int(num(heard))
  end
end
if not free and (ARGV[5] == '1' or own == 0) then
  local number = 0
  while redis.call('HEXISTS', KEYS[3], ARGV[1] .. '/' .. number) == 1 do number = number + 1 end
  free = ARGV[1] .. '/' .. number
end
if not free then return { 'LOOKAGAIN', held } end
redis.call('HSET', KEYS[3], free, ARGV[2] .. ' 0 live ' .. ARGV[3])
redis.call('ZADD', KEYS[4], int(now_ms()), free)
touch(KEYS[1], KEYS[2], ARGV[6], ARGV[7], 'members')
return { 'CLAIMED', free }

#!lua flags=allow-oom
-- Enters a process under a number: of the preferred ones that no live unit holds the one that lived last, so that a fleet that was stopped
-- has the numbers that it had, else (when asked to) the lowest free one. What is known of a preferred one outside the store: "watched", it
-- has given a sign of life elsewhere, and is held until it says itself that it is down, however long it is silent here, and also when it
-- was removed for that or the store was emptied; "silent", it has ended elsewhere, or is stuck there, and comes last; a nonce, that run
-- has ended, however lately it was heard here; or nothing.
-- KEYS  1 meta   2 idx   3 members   4 hb
-- ARGV  1 application   2 nonce   3 instances   4 ms after which silence means dead   5 '1': take a new one   6 tag   7 channel   8... preferred units, each with what is known of it
-- reply {'CLAIMED', unit} | {'LOOKAGAIN', {unit, heard at, ...}} | {'UNSEEDED'}
if redis.call('HGET', KEYS[1], 'sealed') ~= '1' then return { 'UNSEEDED' } end
local members = redis.call('HGETALL', KEYS[3])
for i = 1, #members, 2 do
  if member(members[i + 1]) == ARGV[2] then return { 'CLAIMED', members[i] } end
end
local free, lived, held, watched = nil, -1, {}, {}
for i = 8, #ARGV, 2 do
  local unit, known = ARGV[i], ARGV[i + 1]
  local text, heard = redis.call('HGET', KEYS[3], unit), redis.call('ZSCORE', KEYS[4], unit)
  local is_watched, nonce, _, state = known == 'watched', member(text)
  if is_watched and state ~= 'down' then watched[unit] = true end
  if watched[unit] or nonce ~= known and is_held(text, heard, ARGV[4]) then
    held[#held + 1], held[#held + 2] = unit, int(num(heard))
  else
    local last = (is_watched or known == 'silent') and 0 or num(heard)
    if last > lived then free, lived = unit, last end
  end
end
if not free and (ARGV[5] == '1' or #ARGV < 8) then
  local number = 0
  local function unit() return ARGV[1] .. '/' .. number end
  while watched[unit()] or redis.call('HEXISTS', KEYS[3], unit()) == 1 do number = number + 1 end
  free = unit()
end
if not free then return { 'LOOKAGAIN', held } end
redis.call('HSET', KEYS[3], free, ARGV[2] .. ' 0 live ' .. ARGV[3])
redis.call('ZADD', KEYS[4], int(now_ms()), free)
touch(KEYS[1], KEYS[2], ARGV[6], ARGV[7], 'members')
return { 'CLAIMED', free }

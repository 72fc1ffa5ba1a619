-- Helpers that are put before every script. Numbers leave as whole digits: Lua alone would write 2^53 as 9.007199254741e+15.
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
local function num(s) return tonumber(s) or 0 end
local function int(n) return string.format('%.0f', n) end

-- A new revision for all the objects named; PUBLISH comes last, and without the right to it the change still stands.
local function touch(meta, idx, tag, channel, ...)
  local rev = int(redis.call('HINCRBY', meta, 'rev', 1))
  redis.call('HSET', meta, 'rn', tag)
  for _, name in ipairs({ ... }) do redis.call('ZADD', idx, rev, name) end
  redis.pcall('PUBLISH', channel, rev .. ' ' .. tag .. ' ' .. (...))
  return rev
end

-- Nil when (epoch, nonce) holds the lease now and nothing newer is known; else the refusal.
local function fence(meta, lease, nonce, epoch)
  local m = redis.call('HMGET', meta, 'sealed', 'floor')
  local l = redis.call('HMGET', lease, 'e', 'n', 'x')
  if m[1] ~= '1' then return { 'UNSEEDED' } end
  if l[1] ~= epoch or l[2] ~= nonce or num(m[2]) > num(epoch) or num(l[3]) <= now_ms() then return { 'FENCED' } end
end

-- A member of the roster: nonce, boot, 'live' or 'down', instances.
local function member(text) return string.match(text or '', '^(%S+) (%d+) (%a+) (%d+)$') end
-- Held by a process that lives, as far as one can tell.
local function is_held(text, heard, dead_after)
  local _, _, state = member(text)
  return state == 'live' and now_ms() - num(heard) <= num(dead_after)
end

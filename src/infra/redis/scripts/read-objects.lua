#!lua flags=allow-oom
-- Reads objects as of one moment, leaving out the bodies that the reader has, and names what changed since its revision.
-- KEYS  1 meta   2 idx   3... objects
-- ARGV  1 life   2 revision   3... digest the reader has of each object, or empty
-- reply {'READ', {object, ...}, {{}: absent | {'='}: as the reader has it | {'!', why it cannot be read} | {version, epoch, digest, request, body}, ...}} | {'MOVED'}
local m = redis.call('HMGET', KEYS[1], 'sealed', 'inc')
if m[1] ~= '1' or m[2] ~= ARGV[1] then return { 'MOVED' } end
local objects = {}
for i = 3, #KEYS do
  local digest = redis.pcall('HGET', KEYS[i], 'c')
  if type(digest) == 'table' then
    objects[i - 2] = { '!', 'it is no hash' }
  elseif not digest then
    objects[i - 2] = #redis.call('HGETALL', KEYS[i]) > 0 and { '!', 'it has no digest' } or {}
  elseif digest == ARGV[i] then
    objects[i - 2] = { '=' }
  else
    local object = redis.call('HMGET', KEYS[i], 'v', 'e', 'c', 'q', 'b')
    local isHuge = object[5] and #object[5] > 4194304
    objects[i - 2] = isHuge and { '!', 'it is larger than any object of ours' } or object
  end
end
return { 'READ', redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. int(num(ARGV[2])), '+inf'), objects }

#!lua flags=allow-oom
-- Ends a lease early and may keep it for a successor for a while; epoch and holder stay as history.
-- KEYS  1 meta   2 lease   3 idx
-- ARGV  1 nonce   2 epoch   3 successor or empty   4 ms it is kept   5 tag   6 channel
-- reply {'RELEASED'} | {'NOTHELD'}
if fence(KEYS[1], KEYS[2], ARGV[1], ARGV[2]) then return { 'NOTHELD' } end
local kept = ARGV[3] ~= '' and int(now_ms() + num(ARGV[4])) or '0'
redis.call('HSET', KEYS[2], 'x', '0', 'hf', ARGV[3], 'hx', kept)
touch(KEYS[1], KEYS[3], ARGV[5], ARGV[6], 'lease')
return { 'RELEASED' }

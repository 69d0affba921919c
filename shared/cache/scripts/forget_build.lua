-- Forgets a window whose build ends because no reader asks for it any more, with all that was filled in.
-- KEYS[1] the hash of ranges, then the window's keys, its state first. ARGV: the builder's token, the window's id, since when
-- a reader must have asked for it to be kept (ms).
-- Returns 1 if it is forgotten, 0 if it is another's by now or a reader has just asked.
local known = redis.call('HMGET', KEYS[2], '\0building', '\0asked')
if known[1] ~= ARGV[1] or (known[2] and tonumber(known[2]) >= tonumber(ARGV[3])) then return 0 end
redis.call('HDEL', KEYS[1], ARGV[2])
for number = 2, #KEYS do redis.call('UNLINK', KEYS[number]) end
return 1

-- Replaces the set of disqualified players, unless what is there is of a later audit entry. apply.lua goes by it.
-- KEYS[1] the hash: user id -> "1", and "\0audit" -> number of the audit entry that it is as of.
-- ARGV[1] the number of the audit entry, ARGV[2] the user ids in MessagePack. Returns 1 if it was replaced.
local known = redis.call('HGET', KEYS[1], '\0audit')
if known and tonumber(known) > tonumber(ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], '\0audit', ARGV[1])
for _, user in ipairs(cmsgpack.unpack(ARGV[2])) do redis.call('HSET', KEYS[1], user, '1') end
return 1

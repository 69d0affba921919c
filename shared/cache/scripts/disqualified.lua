-- Replaces the set of disqualified players, unless what is there is of a later audit entry. apply.lua goes by it.
-- KEYS[1] the hash: user id -> "1", or of a player who was ever disqualified for some days "d" and the runs that are out,
-- as in "d20780-20781 20790-20790"; "\0partly" -> "1" if there is such a player; and "\0audit" -> number of the
-- audit entry that it is as of.
-- ARGV[1] the number of the audit entry, ARGV[2] {user id, value, ...} in MessagePack. Returns 1 if it was replaced.
local known = redis.call('HGET', KEYS[1], '\0audit')
if known and tonumber(known) > tonumber(ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], '\0audit', ARGV[1])
local users = cmsgpack.unpack(ARGV[2])
for i = 1, #users, 2 do
  redis.call('HSET', KEYS[1], users[i], users[i + 1])
  if users[i + 1] ~= '1' then redis.call('HSET', KEYS[1], '\0partly', '1') end
end
return 1

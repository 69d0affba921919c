-- uses fills.lua
-- Replaces the set of disqualified players, unless what is there is of a later audit entry. apply.lua goes by it.
-- KEYS[1] the hash: user id -> "1", or of a player who was ever disqualified for some days "d" and the runs that are out,
-- as in "d20780-20781 20790-20790"; "\0partly" -> "1" if there is such a player; and "\0audit" -> number of the
-- audit entry that it is as of.
-- For a build KEYS[2] the hash that it is noted in: this is the first of what fills it, without which the others show too much.
-- ARGV[1] the number of the audit entry, ARGV[2] {user id, value, ...} in MessagePack; for a build its token, and the id of
-- this call. Returns whether it was replaced and, for a build, how many calls have filled it by now; nil if it is another's.
local fills = KEYS[2] and count_fill(KEYS[2], ARGV[3], ARGV[4]) or false
local known = redis.call('HGET', KEYS[1], '\0audit')
if known and tonumber(known) > tonumber(ARGV[1]) then return {0, fills} end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], '\0audit', ARGV[1])
local users = cmsgpack.unpack(ARGV[2])
for i = 1, #users, 2 do
  redis.call('HSET', KEYS[1], users[i], users[i + 1])
  if users[i + 1] ~= '1' then redis.call('HSET', KEYS[1], '\0partly', '1') end
end
return {1, fills}

-- Keeps profiles for pages, the newest of each player, for as long as the hash lives: what it doesn't have is read from the
-- truth, also that there is none, and is put here.
-- KEYS: the hash, user id -> 16 digits of when the profile is of, then its text. ARGV: for how many ms it lives from its first
-- profile on, whatever comes later; how many players it takes; then user id and value of each.
local hash, lives_ms, most = KEYS[1], ARGV[1], tonumber(ARGV[2])
local size = redis.call('HLEN', hash)

-- by bytes: Lua's own < asks the server's locale
local function is_newer(one, other)
  for at = 1, math.min(#one, #other) do
    local a, b = string.byte(one, at), string.byte(other, at)
    if a ~= b then return a > b end
  end
  return #one > #other
end

for at = 3, #ARGV, 2 do
  local user, value = ARGV[at], ARGV[at + 1]
  local known = redis.call('HGET', hash, user)
  if known and is_newer(value, known) or not known and size < most then
    if redis.call('HSET', hash, user, value) == 1 then size = size + 1 end
  end
end
if size > 0 and redis.call('PTTL', hash) == -1 then redis.call('PEXPIRE', hash, lives_ms) end
return size

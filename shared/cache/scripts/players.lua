-- uses layout.lua profiles.lua
-- Where some players stand in a window.
-- KEYS: the marker, what keeps the former layout out, the window's state, its sorted set, its store. ARGV: the store's
-- first day, which of its days the window is of (empty if all), the worst score that qualifies for tiers (empty if all do);
-- user ids, at most some hundreds.
-- Returns {marker, "\0complete", "\0revision", entries in the window, {position from 0, how many have a better score,
-- member, score, ...} of those who are in it}, and how many qualify.
local known = redis.call('HMGET', KEYS[3], '\0complete', '\0revision')
local marker, is_ours = unpack(redis.call('MGET', KEYS[1], KEYS[2]))
local first, day = tonumber(ARGV[1]), tonumber(ARGV[2])
local values = redis.call('HMGET', KEYS[5], unpack(ARGV, 4))
local found = {}
for i = 4, #ARGV do
  local user = ARGV[i]
  local head = values[i - 3] and head_of(values[i - 3], first, day)
  local member = head and head .. user
  local score = member and redis.call('ZSCORE', KEYS[4], member) -- of a disqualified player there is none
  if score then
    found[#found + 1] = redis.call('ZRANK', KEYS[4], member)
    found[#found + 1] = redis.call('ZCOUNT', KEYS[4], '-inf', '(' .. score)
    found[#found + 1] = member
    found[#found + 1] = score
  end
end
local total = redis.call('ZCARD', KEYS[4])
local qualified = ARGV[3] == '' and total or redis.call('ZCOUNT', KEYS[4], '-inf', ARGV[3])
return with_profiles({is_ours and marker, is_ours and known[1], known[2], total, found, qualified}, found, 3, 4)

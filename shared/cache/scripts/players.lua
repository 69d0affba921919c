-- Where some players stand in a window.
-- KEYS: the marker, the window's hash, its sorted set. ARGV: the worst score that qualifies for tiers (empty if
-- all do); user ids, at most some hundreds.
-- Returns {marker, "\0complete", "\0revision", entries in the window, {position from 0, how many have a better score,
-- member, score, ...} of those who are in it}, and how many qualify.
local known = redis.call('HMGET', KEYS[2], '\0complete', '\0revision', unpack(ARGV, 2))
local found = {}
for i = 2, #ARGV do
  local user = ARGV[i]
  local member = known[i + 1] and string.sub(known[i + 1], 1, 6) .. user
  local score = member and redis.call('ZSCORE', KEYS[3], member) -- of a disqualified player there is none
  if score then
    found[#found + 1] = redis.call('ZRANK', KEYS[3], member)
    found[#found + 1] = redis.call('ZCOUNT', KEYS[3], '-inf', '(' .. score)
    found[#found + 1] = member
    found[#found + 1] = score
  end
end
local total = redis.call('ZCARD', KEYS[3])
local qualified = ARGV[1] == '' and total or redis.call('ZCOUNT', KEYS[3], '-inf', ARGV[1])
return {redis.call('GET', KEYS[1]), known[1], known[2], total, found, qualified}

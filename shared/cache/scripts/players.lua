-- Where some players stand in a window.
-- KEYS: the marker, the window's hash, its sorted set. ARGV: user ids, at most some hundreds.
-- Returns {marker, "\0complete", "\0revision", entries in the window, {position from 0, how many have a better score,
-- member, score, ...} of those who are in it}.
local known = redis.call('HMGET', KEYS[2], '\0complete', '\0revision', unpack(ARGV))
local found = {}
for i, user in ipairs(ARGV) do
  local member = known[i + 2] and string.sub(known[i + 2], 1, 6) .. user
  local score = member and redis.call('ZSCORE', KEYS[3], member) -- of a disqualified player there is none
  if score then
    found[#found + 1] = redis.call('ZRANK', KEYS[3], member)
    found[#found + 1] = redis.call('ZCOUNT', KEYS[3], '-inf', '(' .. score)
    found[#found + 1] = member
    found[#found + 1] = score
  end
end
return {redis.call('GET', KEYS[1]), known[1], known[2], redis.call('ZCARD', KEYS[3]), found}

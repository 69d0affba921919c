-- A player's position in a window with the entries around it.
-- KEYS: the marker, the window's hash, its sorted set. ARGV: user id, how many entries above and below.
-- Returns as page.lua does, then the player's position from 0 (false if he is not in the window) and the position of
-- the first entry that is returned.
local known = redis.call('HMGET', KEYS[2], '\0complete', '\0revision', ARGV[1])
local answer = {redis.call('GET', KEYS[1]), known[1], known[2], redis.call('ZCARD', KEYS[3]), {}, false, 0}
if known[3] then
  local position = redis.call('ZRANK', KEYS[3], string.sub(known[3], 1, 6) .. ARGV[1])
  if position then
    local first = math.max(position - ARGV[2], 0)
    answer[5] = redis.call('ZRANGE', KEYS[3], first, position + ARGV[2], 'WITHSCORES')
    answer[6] = position
    answer[7] = first
  end
end
return answer

-- Where a player stands in several windows of a leaderboard.
-- KEYS: the marker, then for each window its hash and its sorted set. ARGV: user id; the worst score that qualifies
-- for tiers (empty if all do).
-- Returns for each window {marker, "\0complete", "\0revision", entries in the window, {position from 0, how many have a
-- better score, member, score} or {} if the player is not in it}, and how many qualify.
local marker = redis.call('GET', KEYS[1])
local windows = {}
for i = 2, #KEYS, 2 do
  local known = redis.call('HMGET', KEYS[i], '\0complete', '\0revision', ARGV[1])
  local found = {}
  local member = known[3] and string.sub(known[3], 1, 6) .. ARGV[1]
  local score = member and redis.call('ZSCORE', KEYS[i + 1], member) -- of a disqualified player there is none
  if score then
    found = {
      redis.call('ZRANK', KEYS[i + 1], member),
      redis.call('ZCOUNT', KEYS[i + 1], '-inf', '(' .. score),
      member,
      score,
    }
  end
  local total = redis.call('ZCARD', KEYS[i + 1])
  local qualified = ARGV[2] == '' and total or redis.call('ZCOUNT', KEYS[i + 1], '-inf', ARGV[2])
  windows[#windows + 1] = {marker, known[1], known[2], total, found, qualified}
end
return windows

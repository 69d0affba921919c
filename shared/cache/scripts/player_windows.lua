-- uses layout.lua
-- Where a player stands in several windows of a leaderboard.
-- KEYS: the marker, what keeps the former layout out, then for each window its state, its sorted set and its store.
-- ARGV: user id; the worst score that qualifies for tiers (empty if all do); then for each window its store's first day and which of its days the window is
-- of (empty if all).
-- Returns for each window {marker, "\0complete", "\0revision", entries in the window, {position from 0, how many have a
-- better score, member, score} or {} if the player is not in it}, and how many qualify.
local marker, is_ours = unpack(redis.call('MGET', KEYS[1], KEYS[2]))
local windows = {}
for i = 3, #KEYS, 3 do
  local known = redis.call('HMGET', KEYS[i], '\0complete', '\0revision')
  local value, place = redis.call('HGET', KEYS[i + 2], ARGV[1]), 3 + (i - 3) / 3 * 2
  local found = {}
  local head = value and head_of(value, tonumber(ARGV[place]), tonumber(ARGV[place + 1]))
  local member = head and head .. ARGV[1]
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
  windows[#windows + 1] = {is_ours and marker, is_ours and known[1], known[2], total, found, qualified}
end
return windows

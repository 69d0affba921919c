-- A player's position in a window, the entries around it, and the scores that tiers begin at.
-- KEYS: the marker, the window's hash, its sorted set.
-- ARGV: user id, how many entries above and below, the worst score that qualifies for tiers (empty if all do), then for
--   each tier that goes by rank: its rule and value.
-- Returns as page.lua does, then the player's position from 0 (nil if not in the window), the position of the
-- first entry that is returned, for each of those tiers the score of its last entry (false if it takes none), how many
-- entries have a better score than the first that is returned, how many qualify, and for who doesn't, the scores of
-- those tiers as if one more did.
local known = redis.call('HMGET', KEYS[2], '\0complete', '\0revision', ARGV[1])
local total = redis.call('ZCARD', KEYS[3])
local qualified = ARGV[3] == '' and total or redis.call('ZCOUNT', KEYS[3], '-inf', ARGV[3])
local entries, position, first, cutoffs, ahead, targets = {}, false, 0, {}, 0, {}

local function last_scores(count)
  local scores = {}
  for i = 4, #ARGV, 2 do
    local value = tonumber(ARGV[i + 1])
    -- as shared/domain/tiers.py cutoff_rank() has it
    local rank = ARGV[i] == 'topN' and math.min(value, count) or math.ceil(count * value / 10000)
    local last = rank > 0 and redis.call('ZRANGE', KEYS[3], rank - 1, rank - 1, 'WITHSCORES') or {}
    scores[#scores + 1] = last[2] or false
  end
  return scores
end

if known[3] then
  position = redis.call('ZRANK', KEYS[3], string.sub(known[3], 1, 6) .. ARGV[1])
end
if position then
  first = math.max(position - ARGV[2], 0)
  entries = redis.call('ZRANGE', KEYS[3], first, position + ARGV[2], 'WITHSCORES')
  ahead = redis.call('ZCOUNT', KEYS[3], '-inf', '(' .. entries[2])
  cutoffs = last_scores(qualified)
  if position >= qualified then targets = last_scores(qualified + 1) end
end
return {
  redis.call('GET', KEYS[1]),
  known[1],
  known[2],
  total,
  entries,
  position,
  first,
  cutoffs,
  ahead,
  qualified,
  targets,
}

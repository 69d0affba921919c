-- uses layout.lua profiles.lua
-- A player's position in a window, the entries around it, and the scores that tiers begin at.
-- KEYS: the marker, what keeps the former layout out, the window's state, its sorted set, its store.
-- ARGV: the store's first day, which of its days the window is of (empty if all), user id, how many entries above and
--   below, the worst score that qualifies for tiers (empty if all do), then for each tier that goes by rank: its rule and
--   value.
-- Returns as page.lua does, then the player's position from 0 (nil if not in the window), the position of the
-- first entry that is returned, for each of those tiers the score of its last entry (false if it takes none), how many
-- entries have a better score than the first that is returned, how many qualify, and for who doesn't, the scores of
-- those tiers as if one more did.
local known = redis.call('HMGET', KEYS[3], '\0complete', '\0revision')
local marker, is_ours = unpack(redis.call('MGET', KEYS[1], KEYS[2]))
local value = redis.call('HGET', KEYS[5], ARGV[3])
local head = value and head_of(value, tonumber(ARGV[1]), tonumber(ARGV[2]))
local total = redis.call('ZCARD', KEYS[4])
local qualified = ARGV[5] == '' and total or redis.call('ZCOUNT', KEYS[4], '-inf', ARGV[5])
local entries, position, first, cutoffs, ahead, targets = {}, false, 0, {}, 0, {}

local function last_scores(count)
  local scores = {}
  for i = 6, #ARGV, 2 do
    local value = tonumber(ARGV[i + 1])
    -- as shared/domain/tiers.py cutoff_rank() has it
    local rank = ARGV[i] == 'topN' and math.min(value, count) or math.ceil(count * value / 10000)
    local last = rank > 0 and redis.call('ZRANGE', KEYS[4], rank - 1, rank - 1, 'WITHSCORES') or {}
    scores[#scores + 1] = last[2] or false
  end
  return scores
end

if head then position = redis.call('ZRANK', KEYS[4], head .. ARGV[3]) end -- of a disqualified player there is none
if position then
  first = math.max(position - ARGV[4], 0)
  entries = redis.call('ZRANGE', KEYS[4], first, position + ARGV[4], 'WITHSCORES')
  ahead = redis.call('ZCOUNT', KEYS[4], '-inf', '(' .. entries[2])
  cutoffs = last_scores(qualified)
  if position >= qualified then targets = last_scores(qualified + 1) end
end
return with_profiles({
  is_ours and marker,
  is_ours and known[1],
  known[2],
  total,
  entries,
  position,
  first,
  cutoffs,
  ahead,
  qualified,
  targets,
}, entries, 1, 2)

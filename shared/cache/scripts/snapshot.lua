-- The top of a window and samples of the rest, all at one instant.
-- KEYS: the marker, the window's hash, its sorted set. ARGV: how many entries from the top, how many samples, the worst
-- score that qualifies for tiers (empty if all do).
-- Returns as page.lua does, then {position from 0, member, score, ...} of the samples, and how many qualify.
local known = redis.call('HMGET', KEYS[2], '\0complete', '\0revision')
local total, top, steps = redis.call('ZCARD', KEYS[3]), tonumber(ARGV[1]), tonumber(ARGV[2])
local samples, last = {}, -1
for number = 1, steps do
  -- as shared/domain/snapshots.py sample_positions() has it
  local position = math.floor(number * total / steps) - 1
  if position >= top and position ~= last then
    last = position
    local entry = redis.call('ZRANGE', KEYS[3], position, position, 'WITHSCORES')
    samples[#samples + 1] = position
    samples[#samples + 1] = entry[1]
    samples[#samples + 1] = entry[2]
  end
end
return {
  redis.call('GET', KEYS[1]),
  known[1],
  known[2],
  total,
  redis.call('ZRANGE', KEYS[3], 0, top - 1, 'WITHSCORES'),
  samples,
  ARGV[3] == '' and total or redis.call('ZCOUNT', KEYS[3], '-inf', ARGV[3]),
}

-- The top of a window and samples of the rest, all at one instant.
-- KEYS: the marker, what keeps the former layout out, the window's state, its sorted set. ARGV: how many entries from
-- the top, how many samples, the worst score that qualifies for tiers (empty if all do).
-- Returns as page.lua does, then {position from 0, member, score, ...} of the samples, and how many qualify.
local known = redis.call('HMGET', KEYS[3], '\0complete', '\0revision')
local marker, is_ours = unpack(redis.call('MGET', KEYS[1], KEYS[2]))
local total, top, steps = redis.call('ZCARD', KEYS[4]), tonumber(ARGV[1]), tonumber(ARGV[2])
local samples, last = {}, -1
for number = 1, steps do
  -- as shared/domain/snapshots.py sample_positions() has it
  local position = math.floor(number * total / steps) - 1
  if position >= top and position ~= last then
    last = position
    local entry = redis.call('ZRANGE', KEYS[4], position, position, 'WITHSCORES')
    samples[#samples + 1] = position
    samples[#samples + 1] = entry[1]
    samples[#samples + 1] = entry[2]
  end
end
return {
  is_ours and marker,
  is_ours and known[1],
  known[2],
  total,
  redis.call('ZRANGE', KEYS[4], 0, top - 1, 'WITHSCORES'),
  samples,
  ARGV[3] == '' and total or redis.call('ZCOUNT', KEYS[4], '-inf', ARGV[3]),
}

-- A page of a run of a window's entries: those between two scores, or of a tier, from an offset or past a place.
-- The ranking is the sorted set's own order, so every filter is a run of positions, found by counting.
-- KEYS: the marker, the window's hash, its sorted set.
-- ARGV: limit; offset in the run; 'next', 'prev' or '' for no place; the place's score and member; the lowest and the
--   highest score of the run as the set has them ('-inf', '+inf' for none); then rule and value of each tier up to the
--   one that is asked for (none: whatever tier): 'topN', 'topPercent' or, with the worst score it takes, 'score'.
-- Returns as page.lua does, then the position of the first entry that is returned, the run's first position and the one
-- past its last, and how many entries of the window have a better score than the first that is returned.
local set = KEYS[3]
local limit, offset, direction = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local known = redis.call('HMGET', KEYS[2], '\0complete', '\0revision')
local total = redis.call('ZCARD', set)

local function up_to(bound) return redis.call('ZCOUNT', set, '-inf', bound) end

-- by bytes, as the set orders equal scores; Lua's own < asks the server's locale
local function is_before(one, other)
  for i = 1, math.min(#one, #other) do
    local a, b = string.byte(one, i), string.byte(other, i)
    if a ~= b then return a < b end
  end
  return #one < #other
end

-- how many entries stand ahead of a place, or ahead of it and on it
local function ahead_of(score, member, inclusive)
  local low, high = up_to('(' .. score), up_to(score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local found = redis.call('ZRANGE', set, middle, middle)[1]
    if is_before(found, member) or (inclusive and found == member) then low = middle + 1 else high = middle end
  end
  return low
end

local function cutoff(rule, value)
  if rule == 'score' then return up_to(value) end
  -- as shared/domain/tiers.py cutoff_rank() has it
  value = tonumber(value)
  return rule == 'topN' and math.min(value, total) or math.ceil(total * value / 10000)
end

local first, past = 0, total
if ARGV[6] ~= '-inf' then first = up_to('(' .. ARGV[6]) end
if ARGV[7] ~= '+inf' then past = up_to(ARGV[7]) end
-- every rule takes the ranking from its top to its own cutoff: what is left of it lies below the cutoffs before
for i = 8, #ARGV, 2 do
  local last = cutoff(ARGV[i], ARGV[i + 1])
  if i == #ARGV - 1 then past = math.min(past, last) else first = math.max(first, last) end
end
past = math.max(first, past)

local from, to
if direction == 'prev' then
  to = math.min(past, ahead_of(ARGV[4], ARGV[5], false))
  from = math.max(first, to - limit)
else
  from = direction == 'next' and math.max(first, ahead_of(ARGV[4], ARGV[5], true)) or first + offset
  to = math.min(past, from + limit)
end
local entries, better = {}, 0
if from < to then
  entries = redis.call('ZRANGE', set, from, to - 1, 'WITHSCORES')
  better = up_to('(' .. entries[2])
end
return {redis.call('GET', KEYS[1]), known[1], known[2], total, entries, from, first, past, better}

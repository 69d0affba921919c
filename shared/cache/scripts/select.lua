-- uses layout.lua profiles.lua
-- A page of a slice of a window's entries: those between two scores, or of a tier, from an offset or from a cursor.
-- The ranking is the sorted set's own order, so every filter is a slice of positions, found by counting.
-- With a label, of such a slice those who carry it: they are a slice of the label set, found in the same way.
-- KEYS: the marker, what keeps the former layout out, the window's state, its sorted set; with a label, the window's
--   label set.
-- ARGV: limit; offset in the slice; 'next', 'prev' or '' for no cursor; the cursor's score and member; the lowest and the
--   highest score of the slice as the set has them ('-inf', '+inf' for none); the worst score that qualifies for tiers
--   (empty if all do); then rule, value and ties of each tier up to the one that is asked for (none: whatever tier):
--   'topN', 'topPercent' or, with the worst score it takes, 'score'; 'first', or 'shared' if it takes all who share the
--   score of its last place; with a label, what its members begin with (shared/cache/labels.py).
-- Returns as page.lua does, then the position of the first entry that is returned, the slice's first position and the one
-- past its last, how many entries of the window have a better score than the first that is returned, and how many
-- qualify. With a label these positions count who carries it alone, and in place of entries there follows, as in
-- players.lua, {position in the window from 0, how many have a better score, member, score, ...} of those on the page.
local set, label_set = KEYS[4], KEYS[5]
local label = label_set and table.remove(ARGV)
local limit, offset, direction = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local known = redis.call('HMGET', KEYS[3], '\0complete', '\0revision')
local marker, is_ours = unpack(redis.call('MGET', KEYS[1], KEYS[2]))
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

-- how many entries stand ahead of a cursor, or ahead of it and on it
local function ahead_of(score, member, inclusive)
  local low, high = up_to('(' .. score), up_to(score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local found = redis.call('ZRANGE', set, middle, middle)[1]
    if is_before(found, member) or (inclusive and found == member) then low = middle + 1 else high = middle end
  end
  return low
end

local qualified = ARGV[8] == '' and total or up_to(ARGV[8])

local function cutoff(rule, value, ties)
  if rule == 'score' then return math.min(up_to(value), qualified) end
  -- as shared/domain/tiers.py cutoff_rank() has it
  value = tonumber(value)
  local rank = rule == 'topN' and math.min(value, qualified) or math.ceil(qualified * value / 10000)
  if ties == 'first' or rank == 0 then return rank end
  return up_to(redis.call('ZRANGE', set, rank - 1, rank - 1, 'WITHSCORES')[2])
end

local first, stop = 0, total
if ARGV[6] ~= '-inf' then first = up_to('(' .. ARGV[6]) end
if ARGV[7] ~= '+inf' then stop = up_to(ARGV[7]) end
-- every rule takes the ranking from its top to its own cutoff: what is left of it lies below the cutoffs before
for i = 9, #ARGV, 3 do
  local last = cutoff(ARGV[i], ARGV[i + 1], ARGV[i + 2])
  if i == #ARGV - 2 then stop = math.min(stop, last) else first = math.max(first, last) end
end
stop = math.max(first, stop)

local SCORE_BYTES = 8

-- bytes of a score with the sign bit flipped, as they order in a member of the label set; and back
local function flip(bytes) return string.char((string.byte(bytes) + 128) % 256) .. string.sub(bytes, 2) end

-- how many who carry the label stand ahead of a cursor, or ahead of it and on it
local function carriers_ahead(score, member, inclusive)
  local bound = (inclusive and '[' or '(') .. label .. flip(struct.pack('>i8', tonumber(score))) .. member
  return redis.call('ZLEXCOUNT', label_set, '[' .. label, bound)
end

-- how many who carry the label stand ahead of a position in the window
local function carriers_at(position)
  if position == 0 then return 0 end
  -- no order key begins with this byte: scores take 53 bits
  if position == total then return redis.call('ZLEXCOUNT', label_set, '[' .. label, '(' .. label .. '\255') end
  local entry = redis.call('ZRANGE', set, position, position, 'WITHSCORES')
  return carriers_ahead(entry[2], entry[1], false)
end

-- where those at some positions among the carriers stand in the window
local function carriers(from, to)
  local start = redis.call('ZLEXCOUNT', label_set, '-', '(' .. label)
  local found, ahead, before = {}, 0, nil
  for _, carrier in ipairs(redis.call('ZRANGE', label_set, start + from, start + to - 1)) do
    local order_key = string.sub(carrier, #label + 1)
    local member = string.sub(order_key, SCORE_BYTES + 1)
    local score = string.format('%.0f', (struct.unpack('>i8', flip(string.sub(order_key, 1, SCORE_BYTES)))))
    if score ~= before then ahead, before = up_to('(' .. score), score end
    found[#found + 1] = redis.call('ZRANK', set, member)
    found[#found + 1] = ahead
    found[#found + 1] = member
    found[#found + 1] = score
  end
  return found
end

if label then
  ahead_of = carriers_ahead
  first, stop = carriers_at(first), carriers_at(stop)
end

local from, to
if direction == 'prev' then
  to = math.min(stop, ahead_of(ARGV[4], ARGV[5], false))
  from = math.max(first, to - limit)
else
  from = direction == 'next' and math.max(first, ahead_of(ARGV[4], ARGV[5], true)) or first + offset
  to = math.min(stop, from + limit)
end
local entries, ahead = {}, 0
if label then
  local found = from < to and carriers(from, to) or {}
  local answer = {is_ours and marker, is_ours and known[1], known[2], total, entries, from, first, stop, ahead, qualified, found}
  return with_profiles(answer, found, 3, 4)
end
if from < to then
  entries = redis.call('ZRANGE', set, from, to - 1, 'WITHSCORES')
  ahead = up_to('(' .. entries[2])
end
local answer = {is_ours and marker, is_ours and known[1], known[2], total, entries, from, first, stop, ahead, qualified}
return with_profiles(answer, entries, 1, 2)

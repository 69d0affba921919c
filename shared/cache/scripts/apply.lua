-- Applies standings to every window their day feeds. Sets absolute values and ignores versions it has seen, so
-- applying anything twice, late or out of order changes nothing.
--
-- A window is a sorted set and a hash:
--   member  <reached_at, 6 bytes big-endian><user id>, score -points (points where the lowest ranks first):
--           equal scores sort by their members, which is the order of the ranking
--   field   user id -> <reached_at of the member, 6 bytes> then a part for each day, oldest first:
--           day 2 bytes, version 4, points 8, reached_at 6, all big-endian; the top bit of the last marks a sum of
--           events of 0 points alone, whose time counts only among the like. Of a disqualified player the first 6
--           bytes are OUT and the set has no member; their parts are kept up to date for the day they are reinstated
--   If the leaderboard has filters, a field's value ends with the player's labels: of each filter that they carry a value
--           of, its number 1 byte, the day that it is of 2 bytes, a token for the value with its length 1 byte; then
--           how many bytes these are, 2 bytes. Beside set and hash stands the label set, its members of score 0:
--   member  <number of the filter><token with its length><score of the set, 8 bytes, sign flipped><member of the set>:
--           so those who carry a value are a slice of it, in the order of the ranking (shared/cache/labels.py)
--   field   "\0revision": grows with every change of the set, to the server's time in microseconds where that is more: so
--           it grows across a flush, and what changes after a failover has other revisions than what the failover lost
--   field   "\0complete": set once a window that is built on demand holds all of the truth
--
-- KEYS[1] the hash of ranges, KEYS[2] the hash of disqualified players; for a build (builds.py) KEYS[3] the hash that it is
-- noted in. ARGV[1] the prefix of every key; for a build ARGV[3] its token and ARGV[4] the id of this call, by which one that
-- is asked twice counts once; ARGV[2] in MessagePack:
--   {aggregation, descending, now_ms, feed_ranges, lateness_ms, {{day, {user, version, points, reached_at, ...},
--     {{window id, expires_ms or 0}, ...}}, ...}}
-- and for a leaderboard with filters, how many; then after each reached_at {token or false, ...}, or false for none.
-- Returns how many parts were new and, for a build, how many calls have filled it by now; nil if it is another's.
local PART = '>I2I4i8I6'
local PART_BYTES = 20
local HEAD_BYTES = 6
local ONLY_ZEROS = 2 ^ 47
local LABEL = '>BI2Bc0'
local OUT = string.rep('\255', HEAD_BYTES) -- no instant: as a time it is past the year 10,000
local CHUNK = 500 -- users in one variadic call; Lua's stack takes about 8,000 values

local prefix = ARGV[1]
local aggregation, descending, now_ms, feed_ranges, lateness_ms, groups, filters = unpack(cmsgpack.unpack(ARGV[2]))
filters = filters or 0
local stride = filters > 0 and 5 or 4
if aggregation ~= 'sum' and aggregation ~= 'best' and aggregation ~= 'latest' then
  return redis.error_reply('ERR unknown aggregation ' .. aggregation) -- rather than ranking it as another
end
local time = redis.call('TIME')
local clock_us = time[1] * 1000000 + time[2]
local changed = 0
local some_are_out = redis.call('HLEN', KEYS[2]) > 1 -- "\0audit" is no player

-- folds the parts of a value into points and reached_at, as shared/domain/standings.py combine() does
local function fold(value)
  local points, reached_at
  for at = HEAD_BYTES + 1, #value, PART_BYTES do
    local _, _, p, r = struct.unpack(PART, value, at)
    if points == nil or aggregation == 'latest' then
      points, reached_at = p, r
    elseif aggregation == 'sum' then
      points = points + p
      if r < ONLY_ZEROS and reached_at < ONLY_ZEROS then
        if r > reached_at then reached_at = r end
      elseif r < reached_at then
        reached_at = r -- the one that points other than 0 reached, or the earlier of two that none did
      end
    elseif p == points then
      if r < reached_at then reached_at = r end
    elseif (p > points) == descending then
      points, reached_at = p, r
    end
  end
  return points, reached_at % ONLY_ZEROS
end

-- the value with one day's part put in its place; nil if its version was seen
local function merge(value, day, version, part)
  for at = HEAD_BYTES + 1, #value, PART_BYTES do
    local b, v = struct.unpack('>I2I4', value, at)
    if b == day then
      if v >= version then return nil end
      return string.sub(value, 1, at - 1) .. part .. string.sub(value, at + PART_BYTES)
    elseif b > day then
      return string.sub(value, 1, at - 1) .. part .. string.sub(value, at)
    end
  end
  return value .. part
end

-- a field's value without its labels, and those: filter -> {day, token}
local function split(value)
  local stop = #value - 1
  local at = stop - struct.unpack('>I2', value, stop)
  local parts, labels = string.sub(value, 1, at - 1), {}
  while at < stop do
    local filter, day, token
    filter, day, token, at = struct.unpack(LABEL, value, at)
    labels[filter] = {day, token}
  end
  return parts, labels
end

local function label_set(window_id) return prefix .. 'f:' .. window_id end

local function pack_labels(labels)
  local packed = {}
  for filter = 1, filters do
    local label = labels[filter]
    if label then packed[#packed + 1] = struct.pack(LABEL, filter, label[1], #label[2], label[2]) end
  end
  local text = table.concat(packed)
  return text .. struct.pack('>I2', #text)
end

-- the label set's members of a player: filter -> member
local function label_members(labels, points, member)
  local order_key = struct.pack('>i8', descending and 0 - points or points)
  order_key = string.char((string.byte(order_key) + 128) % 256) .. string.sub(order_key, 2) .. member
  local members = {}
  for filter, label in pairs(labels) do members[filter] = struct.pack('BBc0', filter, #label[2], label[2]) .. order_key end
  return members
end

-- the newest day with an event that carries the attribute decides, and of that day its newest version
local function relabel(labels, day, tokens)
  for filter = 1, filters do
    local token, label = tokens and tokens[filter], labels[filter]
    if token and (not label or day >= label[1]) then labels[filter] = {day, token} end
  end
end

local function apply(day, updates, first, last, window_id)
  local set, hash = prefix .. 'z:' .. window_id, prefix .. 'h:' .. window_id
  local users, moved, left = {}, {}, {}
  for i = first, last, stride do users[#users + 1] = updates[i] end
  local values = redis.call('HMGET', hash, unpack(users))
  local outs = some_are_out and redis.call('HMGET', KEYS[2], unpack(users)) or {}
  local added, removed, fields = {}, {}, {}
  for n, user in ipairs(users) do
    local i = first + (n - 1) * stride
    local version, points, reached_at = updates[i + 1], updates[i + 2], updates[i + 3]
    local part = struct.pack(PART, day, version, points, reached_at)
    local old, is_out = values[n], outs[n] and true or false
    local old_head = old and string.sub(old, 1, HEAD_BYTES)
    local labels
    if filters > 0 then
      labels = {}
      if old then old, labels = split(old) end
    end
    local value = old and merge(old, day, version, part)
    if not old then
      value = '000000' .. part
    elseif not value and is_out ~= (old_head == OUT) then
      value = old -- nothing new of the score, but the player was disqualified or reinstated since
    end
    if value then
      local head = OUT
      if not is_out then
        if #value > HEAD_BYTES + PART_BYTES or value == old then points, reached_at = fold(value) end
        head = struct.pack('>I6', reached_at % ONLY_ZEROS)
        added[#added + 1] = descending and 0 - points or points
        added[#added + 1] = head .. user
      end
      local packed = ''
      if filters > 0 then
        local before = old and old_head ~= OUT and label_members(labels, fold(old), old_head .. user) or {}
        if value ~= old then relabel(labels, day, updates[i + 4]) end
        local after = is_out and {} or label_members(labels, points, head .. user)
        for filter = 1, filters do
          if before[filter] ~= after[filter] then
            if before[filter] then left[#left + 1] = before[filter] end
            if after[filter] then
              moved[#moved + 1] = 0
              moved[#moved + 1] = after[filter]
            end
          end
        end
        packed = pack_labels(labels)
      end
      fields[#fields + 1] = user
      fields[#fields + 1] = head .. string.sub(value, HEAD_BYTES + 1) .. packed
      if old and old_head ~= head and old_head ~= OUT then removed[#removed + 1] = old_head .. user end
    end
  end
  if #fields == 0 then return end
  if #removed > 0 then redis.call('ZREM', set, unpack(removed)) end
  if #added > 0 then redis.call('ZADD', set, unpack(added)) end
  if #left > 0 then redis.call('ZREM', label_set(window_id), unpack(left)) end
  if #moved > 0 then redis.call('ZADD', label_set(window_id), unpack(moved)) end
  redis.call('HSET', hash, unpack(fields))
  if redis.call('HINCRBY', hash, '\0revision', 1) < clock_us then
    redis.call('HSET', hash, '\0revision', string.format('%.0f', clock_us))
  end
  changed = changed + #fields / 2
end

-- never earlier than a function has said before: one may go by a lateness that was shorter
local function keep_until(window_id, expires_ms)
  local names = {prefix .. 'z:' .. window_id, prefix .. 'h:' .. window_id}
  if filters > 0 then names[3] = label_set(window_id) end
  for _, key in ipairs(names) do
    local known = redis.call('PEXPIRETIME', key) -- -1: for ever, as a key that has just been made
    if known == -1 or (known > 0 and known < expires_ms) then redis.call('PEXPIREAT', key, expires_ms) end
  end
end

local function feed(day, updates, window_id, expires_ms)
  if expires_ms > 0 and expires_ms <= now_ms then
    -- past use: its keys are gone or about to go, and a few players must not stand there as if they were all
    return
  end
  for first = 1, #updates, CHUNK * stride do
    apply(day, updates, first, math.min(first + CHUNK * stride - 1, #updates), window_id)
  end
  if expires_ms > 0 then keep_until(window_id, expires_ms) end
end

local ranges = {}
if feed_ranges then
  local stored = redis.call('HGETALL', KEYS[1])
  for i = 1, #stored, 2 do
    local window_id = stored[i]
    local first, last, expires_ms = string.match(stored[i + 1], '^(-?%d+) (-?%d+) (%d+)$')
    if first == nil then
      -- what feeds it is unknown, so nothing will: it goes, and the other windows go on
      redis.call('UNLINK', prefix .. 'h:' .. window_id, prefix .. 'z:' .. window_id, label_set(window_id))
      redis.call('HDEL', KEYS[1], window_id)
    elseif tonumber(expires_ms) > 0 and tonumber(expires_ms) <= now_ms then
      redis.call('HDEL', KEYS[1], window_id)
    else
      ranges[#ranges + 1] = {window_id, tonumber(first), tonumber(last), tonumber(expires_ms)}
    end
  end
end

for _, group in ipairs(groups) do
  local day, updates, windows = unpack(group)
  for _, window in ipairs(windows) do feed(day, updates, window[1], window[2]) end
  for _, range in ipairs(ranges) do
    if range[2] <= day and day <= range[3] then feed(day, updates, range[1], range[4]) end
  end
end
-- what is written now is kept by this lateness: the marker must not stand for it any longer
local marker = feed_ranges and redis.call('GET', prefix .. 'complete')
if marker and tonumber(marker) > lateness_ms then redis.call('SET', prefix .. 'complete', string.format('%.0f', lateness_ms)) end

local fills = false
if KEYS[3] and redis.call('HGET', KEYS[3], '\0building') == ARGV[3] then
  if redis.call('HGET', KEYS[3], '\0fill') == ARGV[4] then
    fills = tonumber(redis.call('HGET', KEYS[3], '\0fills'))
  else
    fills = redis.call('HINCRBY', KEYS[3], '\0fills', 1)
    redis.call('HSET', KEYS[3], '\0fill', ARGV[4])
  end
end
return {changed, fills}

-- Applies standings to every window their day feeds. Sets absolute values and ignores versions it has seen, so
-- applying anything twice, late or out of order changes nothing.
--
-- A window is a sorted set and a hash:
--   member  <reached_at, 6 bytes big-endian><user id>, score -points (points where the lowest ranks first):
--           equal scores sort by their members, which is the order of the ranking
--   field   user id -> <reached_at of the member, 6 bytes> then a part for each day, oldest first:
--           day 2 bytes, version 4, points 8, reached_at 6, all big-endian; the top bit of the last marks a sum of
--           events of 0 points alone, whose time counts only among the like. Of a disqualified player the first 6
--           bytes are OUT and the set has no member; their parts are kept up to date for the day they are reinstated.
--           Of a player who was ever disqualified for some days, labels of every day stay, and all time has a part for
--           each day beside its own, and one of the day ALL_DAYS once all of these are there: from then on it is the
--           fold of those that are not out
--           A reached_at of EMPTY is that of a day whose events are all void; of a player with no other days the first 6
--           bytes are GONE and the set has no member
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
local EMPTY = 2 ^ 46 -- past every instant, as ONLY_ZEROS is
local LABEL = '>BI2Bc0'
local OUT = string.rep('\255', HEAD_BYTES) -- no instant: as a time it is past the year 10,000
local GONE = string.rep('\255', HEAD_BYTES - 1) .. '\254'
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
local some_are_partly = some_are_out and redis.call('HEXISTS', KEYS[2], '\0partly') == 1
local ALL_TIME, ALL_TIME_DAY, ALL_DAYS = 'all-time', 65535, 65534

-- folds the parts of a value into points and reached_at, as shared/domain/standings.py combine() does; nil if all of its
-- days are empty
local function fold(value)
  local points, reached_at
  for at = HEAD_BYTES + 1, #value, PART_BYTES do
    local _, _, p, r = struct.unpack(PART, value, at)
    if r == EMPTY then
      -- ranks nobody
    elseif points == nil or aggregation == 'latest' then
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
  return points, points and reached_at % ONLY_ZEROS
end

-- the value with one day's part put in its place; nil if its version was seen, and the version that the cache has
local function merge(value, day, version, part)
  for at = HEAD_BYTES + 1, #value, PART_BYTES do
    local b, v = struct.unpack('>I2I4', value, at)
    if b == day then
      if v >= version then return nil, v end
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

-- the newest day with an event that carries the attribute decides, and of that day its newest version: it has lost the
-- label if the event that gave it is void. Then an older day gives it when it is applied again (`lacks_label`)
local function relabel(labels, day, tokens)
  for filter = 1, filters do
    local token, label = tokens and tokens[filter], labels[filter]
    if token and (not label or day >= label[1]) then
      labels[filter] = {day, token}
    elseif not token and label and day == label[1] then
      labels[filter] = nil
    end
  end
end

-- whether a day whose version is known has a label that a newer day has lost
local function lacks_label(labels, day, tokens)
  for filter = 1, tokens and filters or 0 do
    if tokens[filter] and (not labels[filter] or day > labels[filter][1]) then return true end
  end
  return false
end

-- of a player who was ever disqualified for some days, by what the hash says: the parts with those of updates in their
-- places; those of them that count; the updates that are the newest of their days; and whether a day's part counts
local function partly_parts(old, out, updates, window_id)
  local parts, runs, days, by_day, newest = old or '', {}, {}, {}, {}
  if old and filters > 0 then parts = split(old) end
  for at = HEAD_BYTES + 1, #parts, PART_BYTES do
    local day, version = struct.unpack('>I2I4', parts, at)
    days[#days + 1] = day
    by_day[day] = {version, string.sub(parts, at, at + PART_BYTES - 1)}
  end
  for _, update in ipairs(updates) do
    local known = by_day[update.day]
    if not known then days[#days + 1] = update.day end
    if not known or known[1] < update.version then by_day[update.day] = {update.version, update.part} end
    if not known or known[1] <= update.version then newest[#newest + 1] = update end
  end
  table.sort(days)
  for from, to in string.gmatch(out, '(%d+)-(%d+)') do runs[#runs + 1] = {tonumber(from), tonumber(to)} end
  local all_days = by_day[ALL_DAYS] ~= nil
  local function is_counted(day)
    if day == ALL_DAYS or (window_id == ALL_TIME and (day == ALL_TIME_DAY) == all_days) then return false end
    for _, run in ipairs(runs) do
      if run[1] <= day and day <= run[2] then return false end
    end
    return true
  end
  local all, counted = {}, {}
  for _, day in ipairs(days) do
    all[#all + 1] = by_day[day][2]
    if is_counted(day) then counted[#counted + 1] = by_day[day][2] end
  end
  return table.concat(all), table.concat(counted), newest, is_counted
end

-- moves such a player in the label set: before and after are {points, member of the set} or nil where there is none.
-- Returns the labels of every day, packed, and how many members changed
local function relabel_partly(old, updates, is_counted, window_id, before, after)
  local labels, gone, texts, shown, kept, touched = {}, {}, {}, {}, {}, 0
  for filter = 1, filters do labels[filter] = {} end
  local stop = old and #old - 1 or 0
  local at = old and stop - struct.unpack('>I2', old, stop) or stop
  while at < stop do
    local filter, day, token
    filter, day, token, at = struct.unpack(LABEL, old, at)
    labels[filter][day] = token
    if before then gone[#gone + 1] = label_members({[filter] = {day, token}}, before[1], before[2])[filter] end
  end
  for filter = 1, filters do
    for _, update in ipairs(updates) do
      local token = update.tokens and update.tokens[filter]
      labels[filter][update.day] = token or nil -- the newest version has lost it if its event is void
    end
    local days = {}
    for day in pairs(labels[filter]) do days[#days + 1] = day end
    table.sort(days)
    for _, day in ipairs(days) do
      local token = labels[filter][day]
      texts[#texts + 1] = struct.pack(LABEL, filter, day, #token, token)
      if is_counted(day) then shown[filter] = {day, token} end
    end
  end
  for _, member in pairs(after and label_members(shown, after[1], after[2]) or {}) do
    touched = touched + redis.call('ZADD', label_set(window_id), 0, member)
    kept[member] = true
  end
  for _, member in ipairs(gone) do
    if not kept[member] then touched = touched + redis.call('ZREM', label_set(window_id), member) end
  end
  local packed = table.concat(texts)
  return packed .. struct.pack('>I2', #packed), touched
end

-- brings a window up for one player who was ever disqualified for some days; whether anything changed
local function apply_partly(user, out, updates, window_id)
  local set, hash = prefix .. 'z:' .. window_id, prefix .. 'h:' .. window_id
  local old = redis.call('HGET', hash, user)
  local parts, counted, newest, is_counted = partly_parts(old, out, updates, window_id)
  local before, after, head, touched, packed = nil, nil, OUT, 0, ''
  local old_member = old and string.sub(old, 1, HEAD_BYTES) .. user
  local score = old_member and redis.call('ZSCORE', set, old_member) -- of a player who was out there is none
  if score then before = {descending and 0 - tonumber(score) or tonumber(score), old_member} end
  if counted ~= '' then
    local points, reached_at = fold('000000' .. counted)
    if points then
      head = struct.pack('>I6', reached_at)
      after = {points, head .. user}
      touched = redis.call('ZADD', set, 'CH', descending and 0 - points or points, after[2])
    end
  end
  if before and before[2] ~= head .. user then touched = touched + redis.call('ZREM', set, before[2]) end
  if filters > 0 then
    local moved
    packed, moved = relabel_partly(old, newest, is_counted, window_id, before, after)
    touched = touched + moved
  end
  local value = head .. parts .. packed
  if touched == 0 and value == old then return false end
  redis.call('HSET', hash, user, value)
  return true
end

local function grow_revision(hash)
  if redis.call('HINCRBY', hash, '\0revision', 1) < clock_us then
    redis.call('HSET', hash, '\0revision', string.format('%.0f', clock_us))
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
    local value, seen, relabels = nil, nil, true
    if old then value, seen = merge(old, day, version, part) end
    if not old then
      value = '000000' .. part
    elseif not value then
      relabels = labels ~= nil and seen == version and lacks_label(labels, day, updates[i + 4])
      if relabels or is_out ~= (old_head == OUT) then
        value = old -- nothing new of the score, but the player was disqualified or reinstated since, or lacks a label
      end
    end
    if value then
      local head = OUT
      if not is_out then
        if reached_at == EMPTY or #value > HEAD_BYTES + PART_BYTES or value == old then points, reached_at = fold(value) end
        head = GONE
        if points then
          head = struct.pack('>I6', reached_at % ONLY_ZEROS)
          added[#added + 1] = descending and 0 - points or points
          added[#added + 1] = head .. user
        end
      end
      local packed = ''
      if filters > 0 then
        local before = {}
        if old and old_head ~= OUT and old_head ~= GONE then
          local old_points = fold(old)
          before = label_members(labels, old_points, old_head .. user)
        end
        if relabels then relabel(labels, day, updates[i + 4]) end
        local after = (is_out or not points) and {} or label_members(labels, points, head .. user)
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
      if old and old_head ~= head and old_head ~= OUT and old_head ~= GONE then removed[#removed + 1] = old_head .. user end
    end
  end
  if #fields == 0 then return end
  if #removed > 0 then redis.call('ZREM', set, unpack(removed)) end
  if #added > 0 then redis.call('ZADD', set, unpack(added)) end
  if #left > 0 then redis.call('ZREM', label_set(window_id), unpack(left)) end
  if #moved > 0 then redis.call('ZADD', label_set(window_id), unpack(moved)) end
  redis.call('HSET', hash, unpack(fields))
  grow_revision(hash)
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

-- of players who were ever disqualified for some days: window id -> {expires_ms, {user -> {out, updates}}}
local aside = {}
local function set_one_aside(window_id, expires_ms, user, out, update)
  if expires_ms > 0 and expires_ms <= now_ms then return end
  aside[window_id] = aside[window_id] or {expires_ms, {}}
  local users = aside[window_id][2]
  users[user] = users[user] or {out, {}}
  table.insert(users[user][2], update)
end

-- the updates of the other players
local function set_aside(day, updates, windows)
  local others = {}
  for first = 1, #updates, CHUNK * stride do
    local users = {}
    for i = first, math.min(first + CHUNK * stride - 1, #updates), stride do users[#users + 1] = updates[i] end
    for n, out in ipairs(redis.call('HMGET', KEYS[2], unpack(users))) do
      local i = first + (n - 1) * stride
      if out and out ~= '1' then
        local part = struct.pack(PART, day, updates[i + 1], updates[i + 2], updates[i + 3])
        local update = {day = day, version = updates[i + 1], part = part, tokens = updates[i + 4]}
        for _, window in ipairs(windows) do set_one_aside(window[1], window[2], users[n], out, update) end
        if feed_ranges and day < ALL_DAYS then set_one_aside(ALL_TIME, 0, users[n], out, update) end
      else
        for at = i, i + stride - 1 do others[#others + 1] = updates[at] end
      end
    end
  end
  return others
end

for _, group in ipairs(groups) do
  local day, updates, windows = unpack(group)
  for _, range in ipairs(ranges) do
    if range[2] <= day and day <= range[3] then windows[#windows + 1] = {range[1], range[4]} end
  end
  if some_are_partly then updates = set_aside(day, updates, windows) end
  for _, window in ipairs(day == ALL_DAYS and {} or windows) do feed(day, updates, window[1], window[2]) end
end
for window_id, one in pairs(aside) do
  local before = changed
  for user, known in pairs(one[2]) do
    if apply_partly(user, known[1], known[2], window_id) then changed = changed + 1 end
  end
  if changed > before then grow_revision(prefix .. 'h:' .. window_id) end
  if one[1] > 0 then keep_until(window_id, one[1]) end
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

-- uses layout.lua former.lua fills.lua
-- Applies standings to every window their day feeds. Sets absolute values and ignores versions it has seen, so
-- applying anything twice, late or out of order changes nothing; of a version it has seen it makes sure that the windows
-- have what it says.
--
-- A window is a sorted set of members, beside the store that it may share with others (layout.lua):
--   member  <reached_at, 6 bytes big-endian><user id>, score -points (points where the lowest ranks first):
--           equal scores sort by their members, which is the order of the ranking
-- If the leaderboard has filters, beside it stands the label set, its members of score 0:
--   member  <number of the filter><token with its length><score of the set, 8 bytes, sign flipped><member of the set>:
--           so those who carry a value are a slice of it, in the order of the ranking (shared/cache/labels.py)
-- Its state is a hash:
--   "\0revision": grows with every change of the set, to the server's time in microseconds where that is more: so
--           it grows across a flush, and what changes after a failover has other revisions than what the failover lost
--   "\0complete": set once a window that is built on demand holds all of the truth
-- Of a player who was ever disqualified for some days, the store of all time has a part for each day beside its own, and
-- one of the day ALL_DAYS once all of these are there: from then on it is the fold of those that are not out.
--
-- KEYS[1] the hash of ranges, KEYS[2] the hash of disqualified players; for a build (leases.py) KEYS[3] the hash that it is
-- noted in. ARGV[1] the prefix of every key; for a build ARGV[3] its token and ARGV[4] the id of this call, by which one that
-- is asked twice counts once; ARGV[2] in MessagePack:
--   {aggregation, descending, now_ms, feed_ranges, lateness_ms, {{day, {user, version, points, reached_at, ...},
--     {{store id, its first day, {{window id, whether it is of all days of the store, expires_ms or 0 for never, or
--     WHERE_THERE}, ...}}, ...}}, ...}}
-- and for a leaderboard with filters, how many; then after each reached_at {token or false, ...}, or false for none. After
-- that true if all time isn't kept, but built when it is read, as a range is.
-- Returns how many parts were new or missing and, for a build, how many calls have filled it by now; nil if it is another's.
local LABEL = '>BI2Bc0'
local CHUNK = 500 -- users in one variadic call; Lua's stack takes about 8,000 values
local WHERE_THERE = -1 -- a window that is not fed: only if it is there it has to follow its store
local ALL_TIME_DAY, ALL_DAYS_DAY = 65535, 65534
local ALL_TIME_STORE = {'all-time', 0, {{'all-time', true, 0}}}

local prefix = ARGV[1]
local aggregation, descending, now_ms, feed_ranges, lateness_ms, groups, filters, all_time_is_a_range = unpack(cmsgpack.unpack(ARGV[2]))
filters = filters or 0
local stride = filters > 0 and 5 or 4
if aggregation ~= 'sum' and aggregation ~= 'best' and aggregation ~= 'latest' then
  return redis.error_reply('ERR unknown aggregation ' .. aggregation) -- rather than ranking it as another
end
leave_former(prefix)
local time = redis.call('TIME')
local clock_us = time[1] * 1000000 + time[2]
local changed = 0
local some_are_out = redis.call('HLEN', KEYS[2]) > 1 -- "\0audit" is no player
local some_are_partly = some_are_out and redis.call('HEXISTS', KEYS[2], '\0partly') == 1

local function set_of(window) return prefix .. 'z:' .. window[1] end
local function label_set_of(window) return prefix .. 'f:' .. window[1] end
local function state_of(window) return prefix .. 's:' .. window[1] end
local function score_of(points) return descending and 0 - points or points end
local function everything() return true end

-- The fold so far, as shared/domain/standings.py combine() does: points nil while all of its days are empty.
local sum_points, sum_at

-- takes a day's part into the fold, oldest day first; `r` since 1970
local function take(p, r)
  if r == EMPTY then
    -- ranks nobody
  elseif sum_points == nil or aggregation == 'latest' then
    sum_points, sum_at = p, r
  elseif aggregation == 'sum' then
    sum_points = sum_points + p
    if r < ONLY_ZEROS and sum_at < ONLY_ZEROS then
      if r > sum_at then sum_at = r end
    elseif r < sum_at then
      sum_at = r -- the one that points other than 0 reached, or the earlier of two that none did
    end
  elseif p == sum_points then
    if r < sum_at then sum_at = r end
  elseif (p > sum_points) == descending then
    sum_points, sum_at = p, r
  end
end

-- folds the parts that count into points and reached_at; nil if all of their days are empty
local function fold(parts, first, counts)
  sum_points, sum_at = nil, nil
  for at = 1, #parts, 4 do
    if counts(parts[at]) then take(parts[at + 2], start_ms(first, parts[at]) + parts[at + 3]) end
  end
  return sum_points, sum_at and sum_at % ONLY_ZEROS
end

-- labels, filter -> day -> token
local function parse_labels(text)
  local labels, at = {}, 1
  for filter = 1, filters do labels[filter] = {} end
  while at <= #text do
    local filter, day, token
    filter, day, token, at = struct.unpack(LABEL, text, at)
    labels[filter][day >= ALL_DAYS_DAY and day - 65536 or day] = token
  end
  return labels
end

-- a value's parts, one after another, and its labels
local function parse(value)
  local parts, text = value and {cmsgpack.unpack(value)} or {}, ''
  if type(parts[#parts]) == 'string' then text = table.remove(parts) end
  if #parts % 4 == 1 then table.remove(parts, 1) end
  return parts, parse_labels(text)
end

local function days_of(tokens)
  local days = {}
  for day in pairs(tokens) do days[#days + 1] = day end
  table.sort(days)
  return days
end

local function pack_labels(labels)
  local packed = {}
  for filter = 1, filters do
    for _, day in ipairs(days_of(labels[filter])) do
      local token = labels[filter][day]
      packed[#packed + 1] = struct.pack(LABEL, filter, day % 65536, #token, token)
    end
  end
  return table.concat(packed)
end

-- puts one day's part in its place; whether it is new. One whose version was seen stays out
local function place(parts, day, version, points, reached_at)
  local at = 1
  while parts[at] and parts[at] < day do at = at + 4 end
  if parts[at] ~= day then
    for moved = #parts, at, -1 do parts[moved + 4] = parts[moved] end
  elseif parts[at + 1] >= version then
    return false
  end
  parts[at], parts[at + 1], parts[at + 2], parts[at + 3] = day, version, points, reached_at
  return true
end

-- which days of a player's parts count, by what the hash of the disqualified says of them
local function counting(out, parts, store)
  if out == '1' then return function() return false end end
  local runs, has_all_days = {}, false
  for from, to in string.gmatch(out, '(%d+)-(%d+)') do runs[#runs + 1] = {tonumber(from), tonumber(to)} end
  for at = 1, #parts, 4 do has_all_days = has_all_days or parts[at] == ALL_DAYS end
  return function(day)
    if day == ALL_DAYS or (store[1] == 'all-time' and (day == ALL_TIME) == has_all_days) then return false end
    local of_calendar = day == ALL_TIME and ALL_TIME_DAY or store[2] + day
    for _, run in ipairs(runs) do
      if run[1] <= of_calendar and of_calendar <= run[2] then return false end
    end
    return true
  end
end

-- how a member orders in the label set
local function order_key(points, member)
  local bytes = struct.pack('>i8', score_of(points))
  return string.char((string.byte(bytes) + 128) % 256) .. string.sub(bytes, 2) .. member
end

local function label_member(filter, token, key) return string.char(filter, #token) .. token .. key end

-- the label set's members of a player: of each filter's tokens by day one for every day in `shown`
local function label_members(labels, shown, points, member)
  local key, members = order_key(points, member), {}
  for filter = 1, filters do
    for _, token in ipairs(shown(labels[filter])) do members[#members + 1] = label_member(filter, token, key) end
  end
  return members
end

local function all_tokens(by_day)
  local tokens = {}
  for _, token in pairs(by_day) do tokens[#tokens + 1] = token end
  return tokens
end

-- of the days that count the newest with an event that carries the attribute decides
local function newest_token(counts)
  return function(by_day)
    local newest
    for day in pairs(by_day) do
      if counts(day) and (newest == nil or day > newest) then newest = day end
    end
    return {by_day[newest]}
  end
end

-- the days of a store that a window is of
local function days_in(window, day, counts)
  if window[2] then return counts end
  return function(one) return one == day and counts(one) end
end

-- what one call does to a window's sets: members that go and those that come, with their scores
local function plan() return {gone = {}, came = {}, unlabelled = {}, labelled = {}} end

local function in_chunks(list, work)
  for first = 1, #list, 2 * CHUNK do work(unpack(list, first, math.min(first + 2 * CHUNK - 1, #list))) end
end

-- how many members came, went or have another score
local function update_sets(planned, window)
  local touched = 0
  local function on(command, key, option)
    return function(...)
      if option then touched = touched + redis.call(command, key, option, ...)
      else touched = touched + redis.call(command, key, ...) end
    end
  end
  in_chunks(planned.gone, on('ZREM', set_of(window)))
  in_chunks(planned.came, on('ZADD', set_of(window), 'CH'))
  in_chunks(planned.unlabelled, on('ZREM', label_set_of(window)))
  in_chunks(planned.labelled, on('ZADD', label_set_of(window), 'CH'))
  return touched
end

-- plans what brings a store's windows up for a player of whom not all counts, as `out` says: by `fresh` if the part is new,
-- else by `known`. Returns whether it is, and the value of the store
local function bring_up(fresh, known, store, user, old, out, day, version, points, reached_at, tokens)
  local first, windows = store[2], store[3]
  local parts, labels = parse(old)
  local old_members, old_labels = {}, {}
  for n, window in ipairs(windows) do
    local member = old and head_of(old, first, not window[2] and day or nil)
    old_members[n] = member and member .. user
    if member and filters > 0 then
      local score = redis.call('ZSCORE', set_of(window), old_members[n]) -- other days may have counted then
      old_labels[n] = score and label_members(labels, all_tokens, score_of(tonumber(score)), old_members[n])
    end
  end
  local is_new = place(parts, day, version, points, reached_at)
  for filter = 1, is_new and filters or 0 do labels[filter][day] = tokens and tokens[filter] or nil end
  local counts = counting(out, parts, store)
  local plans = is_new and fresh or known
  for n, window in ipairs(windows) do
    local planned, counted = plans[n], days_in(window, day, counts)
    local new_points, at_ms = fold(parts, first, counted)
    local member, stay = new_points and struct.pack('>I6', at_ms) .. user, {}
    if member then
      planned.came[#planned.came + 1] = score_of(new_points)
      planned.came[#planned.came + 1] = member
      for _, one in ipairs(filters > 0 and label_members(labels, newest_token(counted), new_points, member) or {}) do
        planned.labelled[#planned.labelled + 1] = 0
        planned.labelled[#planned.labelled + 1] = one
        stay[one] = true
      end
    end
    if old_members[n] and old_members[n] ~= member then planned.gone[#planned.gone + 1] = old_members[n] end
    for _, one in ipairs(old_labels[n] or {}) do
      if not stay[one] then planned.unlabelled[#planned.unlabelled + 1] = one end
    end
  end
  if out ~= '1' or #parts > 4 then
    local _, at_ms = fold(parts, first, out ~= '1' and counts or everything)
    table.insert(parts, 1, (at_ms or EMPTY) - first * DAY_MS)
  end
  local text = filters > 0 and pack_labels(labels) or ''
  if text ~= '' then parts[#parts + 1] = text end
  return is_new, cmsgpack.pack(unpack(parts))
end

-- what a player carries of each filter: before and after, by the newest day and by the day of the update
local old_newest, old_of_day, newest, of_day = {}, {}, {}, {}

-- puts the day's tokens into a player's labels, if they are new; returns the labels
local function relabel(text, day, is_new, tokens)
  local at, same = 1, true
  for filter = 1, filters do old_newest[filter], old_of_day[filter] = nil, nil end
  while at <= #text do
    local filter, its_day, token
    filter, its_day, token, at = struct.unpack(LABEL, text, at)
    old_newest[filter] = token -- oldest day first
    if its_day == day % 65536 then old_of_day[filter] = token end
  end
  for filter = 1, filters do
    newest[filter], of_day[filter] = old_newest[filter], old_of_day[filter]
    if is_new then
      of_day[filter] = tokens and tokens[filter] or nil
      same = same and of_day[filter] == old_of_day[filter]
    end
  end
  if same then return text end
  local labels = parse_labels(text)
  for filter = 1, filters do
    labels[filter][day] = of_day[filter]
    local days = days_of(labels[filter])
    newest[filter] = labels[filter][days[#days]]
  end
  return pack_labels(labels)
end

-- plans what brings a window's label set up for a player; `before` and `after` are order keys, nil where they stand nowhere
local function plan_labels(planned, before, old_tokens, after, tokens)
  for filter = 1, filters do
    local old_token, token = before and old_tokens[filter], after and tokens[filter]
    if old_token and (old_token ~= token or before ~= after) then
      planned.unlabelled[#planned.unlabelled + 1] = label_member(filter, old_token, before)
    end
    if token then
      planned.labelled[#planned.labelled + 1] = 0
      planned.labelled[#planned.labelled + 1] = label_member(filter, token, after)
    end
  end
end

-- the points of all parts of a value, from where these begin
local function points_of(value, at, first)
  sum_points, sum_at = nil, nil
  while at >= 0 do
    local d, _, p, r
    at, d, _, p, r = cmsgpack.unpack_limit(value, 4, at)
    if type(d) == 'string' then break end
    take(p, start_ms(first, d) + r)
  end
  return sum_points
end

-- as bring_up, for a player whose parts all count, without a table for them. `more`: the value's fifth
local function bring_up_whole(fresh, known, store, user, old, more, day, version, points, reached_at, tokens)
  local first, windows = store[2], store[3]
  local starts_ms, base_ms = start_ms(first, day), first * DAY_MS
  local headed, body, old_head = type(more) == 'number', 0, nil
  if headed then
    body, old_head = cmsgpack.unpack_limit(old, 1)
    old_head = head_at(base_ms + old_head)
  end
  local at, stop, from, to, count, is_new = old and body or -1, old and #old or 0, nil, nil, 0, true
  local old_points, old_points_of_day, old_day_head, old_text = nil, nil, nil, ''
  if headed and filters > 0 then old_points = points_of(old, body, first) end
  sum_points, sum_at = nil, nil
  while at >= 0 do
    local start, d, v, p, r = at, nil, nil, nil, nil
    at, d, v, p, r = cmsgpack.unpack_limit(old, 4, at)
    if type(d) == 'string' then
      old_text, stop = d, start
      break
    end
    local its_start_ms = start_ms(first, d)
    if not headed then old_head, old_points = head_at(its_start_ms + r), p end
    if not from and d >= day then
      from, to = start, start
      if d == day then
        to, old_day_head = at < 0 and #old or at, head_at(its_start_ms + r)
        if v >= version then is_new, points, reached_at = false, p, r end
      end
      take(points, starts_ms + reached_at)
    end
    if d ~= day then
      take(p, its_start_ms + r)
      count = count + 1
    elseif filters > 0 then
      old_points_of_day = p
    end
  end
  if not from then
    from, to = stop, stop
    take(points, starts_ms + reached_at)
  end
  local text = filters > 0 and relabel(old_text, day, is_new, tokens) or old_text
  local head, day_head = sum_at and head_at(sum_at), head_at(starts_ms + reached_at)
  local plans = is_new and fresh or known
  for n, window in ipairs(windows) do
    local planned, its_points, its_head, its_old = plans[n], points, day_head, old_day_head
    if window[2] then its_points, its_head, its_old = sum_points, head, old_head end
    if its_head then
      planned.came[#planned.came + 1] = score_of(its_points)
      planned.came[#planned.came + 1] = its_head .. user
    end
    if its_old and its_old ~= its_head then planned.gone[#planned.gone + 1] = its_old .. user end
    if filters > 0 then
      local was = window[2] and old_points or old_points_of_day
      local before, after = its_old and order_key(was, its_old .. user), its_head and order_key(its_points, its_head .. user)
      plan_labels(planned, before, window[2] and old_newest or old_of_day, after, window[2] and newest or of_day)
    end
  end
  if not is_new then return false, old end
  local value = {'', '', cmsgpack.pack(day, version, points, reached_at), '', ''}
  if headed or count > 0 then value[1] = cmsgpack.pack((sum_at and sum_at % ONLY_ZEROS or EMPTY) - base_ms) end
  if old then value[2], value[4] = string.sub(old, body + 1, from), string.sub(old, to + 1, stop) end
  if text ~= '' then value[5] = cmsgpack.pack(text) end
  return true, table.concat(value)
end

local function grow_revision(state)
  if redis.call('HINCRBY', state, '\0revision', 1) < clock_us then
    redis.call('HSET', state, '\0revision', string.format('%.0f', clock_us))
  end
end

-- applies some updates of a day to a store and its windows
local function apply(group_day, updates, start, stop, store)
  local first, windows = store[2], store[3]
  local day = group_day >= ALL_DAYS_DAY and group_day - 65536 or group_day - first
  local starts_ms = start_ms(first, day)
  local hash = prefix .. 'h:' .. store[1]
  local users, fields, fresh, known, added = {}, {}, {}, {}, 0
  for n in ipairs(windows) do fresh[n], known[n] = plan(), plan() end
  for i = start, stop, stride do users[#users + 1] = updates[i] end
  local values = redis.call('HMGET', hash, unpack(users))
  local outs = some_are_out and redis.call('HMGET', KEYS[2], unpack(users)) or {}
  for n, user in ipairs(users) do
    local i = start + (n - 1) * stride
    local version, points, reached_at = updates[i + 1], updates[i + 2], updates[i + 3] - starts_ms
    local old, out = values[n], outs[n]
    local _, old_day, old_version, old_points, old_at, more
    if old then _, old_day, old_version, old_points, old_at, more = cmsgpack.unpack_limit(old, 5) end
    if out or filters > 0 or (old and (old_day ~= day or more ~= nil)) then
      local bring, what = bring_up_whole, more
      if out then bring, what = bring_up, out end
      local is_new, value = bring(fresh, known, store, user, old, what, day, version, points, reached_at, updates[i + 4])
      if is_new then added = added + 1 end
      if value ~= old then
        fields[#fields + 1] = user
        fields[#fields + 1] = value
      end
    else -- nothing but this part is known, and it counts: by far the most
      local plans, is_new = fresh, not old or old_version < version
      if is_new then
        added = added + 1
        fields[#fields + 1] = user
        fields[#fields + 1] = cmsgpack.pack(day, version, points, reached_at)
      else
        plans, points, reached_at = known, old_points, old_at
      end
      local head, old_head = head_at(starts_ms + reached_at), is_new and old and head_at(starts_ms + old_at)
      local member, old_member = head and head .. user, old_head and old_head ~= head and old_head .. user
      for number = 1, #windows do
        local planned = plans[number]
        if member then
          planned.came[#planned.came + 1] = descending and 0 - points or points
          planned.came[#planned.came + 1] = member
        end
        if old_member then planned.gone[#planned.gone + 1] = old_member end
      end
    end
  end
  for n, window in ipairs(windows) do
    update_sets(fresh[n], window)
    local healed = update_sets(known[n], window)
    if added + healed > 0 then grow_revision(state_of(window)) end
    if window[3] ~= WHERE_THERE then changed = changed + added + healed end
  end
  if #fields > 0 then in_chunks(fields, function(...) redis.call('HSET', hash, ...) end) end
end

-- never earlier than a function has said before: one may go by a lateness that was shorter
local function keep_until(key, expires_ms)
  local known = redis.call('PEXPIRETIME', key) -- -1: for ever, as a key that has just been made
  if known == -1 or (known > 0 and known < expires_ms) then redis.call('PEXPIREAT', key, expires_ms) end
end

-- a store with those of its windows that it feeds, or that have to follow it; nil if it feeds none: past use, a window's
-- keys are gone or about to go, and a few players must not stand there as if they were all
local function due(store)
  local windows, is_fed = {}, false
  for _, window in ipairs(store[3]) do
    if window[3] == 0 or window[3] > now_ms then
      windows[#windows + 1] = window
      is_fed = true
    elseif redis.call('EXISTS', set_of(window)) == 1 then
      windows[#windows + 1] = {window[1], window[2], WHERE_THERE}
    end
  end
  return is_fed and {store[1], store[2], windows} or nil
end

local function feed(day, updates, store)
  for start = 1, #updates, CHUNK * stride do
    apply(day, updates, start, math.min(start + CHUNK * stride - 1, #updates), store)
  end
  local last_ms = 0
  for _, window in ipairs(store[3]) do
    last_ms = math.max(last_ms, window[3])
    if window[3] > 0 then
      keep_until(set_of(window), window[3])
      keep_until(state_of(window), window[3])
      if filters > 0 then keep_until(label_set_of(window), window[3]) end
    end
  end
  if last_ms > 0 then keep_until(prefix .. 'h:' .. store[1], last_ms) end
end

local all_time_store = not all_time_is_a_range and ALL_TIME_STORE
local ranges = {}
if feed_ranges then
  local stored = redis.call('HGETALL', KEYS[1])
  for i = 1, #stored, 2 do
    local window_id = stored[i]
    local first, last, expires_ms = string.match(stored[i + 1], '^(-?%d+) (-?%d+) (%d+)$')
    if first == nil then
      -- what feeds it is unknown, so nothing will: it goes, and the other windows go on
      redis.call('UNLINK', set_of({window_id}), label_set_of({window_id}), state_of({window_id}))
      if has_own_store(window_id) then redis.call('UNLINK', prefix .. 'h:' .. window_id) end
      redis.call('HDEL', KEYS[1], window_id)
    elseif tonumber(expires_ms) > 0 and tonumber(expires_ms) <= now_ms then
      redis.call('HDEL', KEYS[1], window_id)
    else
      ranges[#ranges + 1] = {window_id, tonumber(first), tonumber(last), tonumber(expires_ms)}
      if window_id == 'all-time' and all_time_is_a_range then
        all_time_store = {'all-time', 0, {{'all-time', true, tonumber(expires_ms)}}}
      end
    end
  end
end

-- adds the ranges that a day feeds to its stores; a day or a week that is built on demand is in the store of its week
local function add_ranges(day, stores)
  for _, range in ipairs(ranges) do
    if range[2] <= day and day <= range[3] then
      local is_of_calendar = false
      for _, store in ipairs(stores) do
        for _, window in ipairs(store[3]) do
          if window[1] == range[1] then
            is_of_calendar = true
            if range[4] == 0 or window[3] < range[4] then window[3] = range[4] end
          end
        end
      end
      if not is_of_calendar then stores[#stores + 1] = {range[1], 0, {{range[1], true, range[4]}}} end
    end
  end
end

-- the updates of players who were ever disqualified for some days
local function of_partly(updates)
  local some = {}
  for start = 1, #updates, CHUNK * stride do
    local users = {}
    for i = start, math.min(start + CHUNK * stride - 1, #updates), stride do users[#users + 1] = updates[i] end
    for n, out in ipairs(redis.call('HMGET', KEYS[2], unpack(users))) do
      local i = start + (n - 1) * stride
      for at = i, out and out ~= '1' and i + stride - 1 or i - 1 do some[#some + 1] = updates[at] end
    end
  end
  return some
end

for _, group in ipairs(groups) do
  local day, updates, stores = unpack(group)
  add_ranges(day, stores)
  for _, store in ipairs(day == ALL_DAYS_DAY and {} or stores) do
    local fed = due(store)
    if fed then feed(day, updates, fed) end
  end
  if some_are_partly and feed_ranges and all_time_store and day ~= ALL_TIME_DAY then
    feed(day, of_partly(updates), all_time_store)
  end
end
-- what is written now is kept by this lateness: the marker must not stand for it any longer
local marker = feed_ranges and redis.call('GET', prefix .. 'complete')
if marker and tonumber(marker) > lateness_ms then redis.call('SET', prefix .. 'complete', string.format('%.0f', lateness_ms)) end

return {changed, KEYS[3] and count_fill(KEYS[3], ARGV[3], ARGV[4]) or false}

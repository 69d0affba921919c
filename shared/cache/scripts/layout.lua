-- What a store says of a player, for the scripts that begin with "uses layout.lua": shared/cache/connection.py puts this
-- text before theirs.
--
-- A store is a hash: user id -> MessagePack values one after another, without a length
--   the window's reached_at, from the store's start (only where it has several parts, or the player was ever disqualified
--     for some days: else it is that of the only part)
--   for each day, oldest first: the day, counted from the store's first (ALL_TIME and ALL_DAYS are before all); version;
--     points; reached_at, from the day's start (of ALL_TIME since 1970), in ms. Of a day whose events are all void it is
--     EMPTY, and bit ONLY_ZEROS marks a sum of events of 0 points alone, whose time counts only among the like
--   the player's labels of every day, if there are any: number of the filter 1 byte, day 2 bytes, a token for the value
--     with its length 1 byte; by filter, then by day
-- The days of a week and the week have one store, whose first day is the Monday; all time, a month and each range have one of
-- their own, whose days count from 1970. A store lives at least as long as the windows that it is of.
local DAY_MS = 86400000
local ALL_TIME, ALL_DAYS = -1, -2
local ONLY_ZEROS, EMPTY = 2 ^ 47, 2 ^ 46 -- past every instant

local function start_ms(first, day) return day < 0 and 0 or (first + day) * DAY_MS end

-- what the member of a sorted set begins with; nil if nothing ranks the player
local function head_at(reached_at)
  reached_at = reached_at % ONLY_ZEROS
  return reached_at ~= EMPTY and struct.pack('>I6', reached_at) or nil
end

-- what a player's member begins with, if the window has one: nil if not. `day`: of a window of one day that shares a store
local function head_of(value, first, day)
  local at, known_day, _, _, reached_at, more = cmsgpack.unpack_limit(value, 5)
  if more == nil or type(more) == 'string' then
    return (day == nil or day == known_day) and head_at(start_ms(first, known_day) + reached_at) or nil
  end
  if day == nil then return head_at(first * DAY_MS + known_day) end -- the first is the window's own
  at = cmsgpack.unpack_limit(value, 1)
  while at >= 0 do
    at, known_day, _, _, reached_at = cmsgpack.unpack_limit(value, 4, at)
    if known_day == day then return head_at(start_ms(first, day) + reached_at) end
  end
  return nil
end

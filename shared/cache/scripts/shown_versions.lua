-- uses layout.lua
-- The versions of players' standings of a day that are applied; 0 where none is. KEYS: a store that the day is in. ARGV: the
-- day as the store counts it, user ids, at most some hundreds.
local day = tonumber(ARGV[1])
local function version_of(value)
  local parts = value and {cmsgpack.unpack(value)} or {}
  local start = 1 + (type(parts[#parts]) == 'string' and #parts - 1 or #parts) % 4
  for at = start, #parts - 3, 4 do
    if parts[at] == day then return parts[at + 1] end
  end
  return 0
end

local versions = {}
for n, value in ipairs(redis.call('HMGET', KEYS[1], unpack(ARGV, 2))) do versions[n] = version_of(value) end
return versions

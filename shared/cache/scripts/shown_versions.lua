-- uses layout.lua
-- The versions of players' standings of all time that are applied; 0 where none is. KEYS: the store of all time. ARGV: user
-- ids, at most some hundreds.
local function version_of(value)
  local parts = value and {cmsgpack.unpack(value)} or {}
  local start = 1 + (type(parts[#parts]) == 'string' and #parts - 1 or #parts) % 4
  for at = start, #parts - 3, 4 do
    if parts[at] == ALL_TIME then return parts[at + 1] end
  end
  return 0
end

local versions = {}
for n, value in ipairs(redis.call('HMGET', KEYS[1], unpack(ARGV))) do versions[n] = version_of(value) end
return versions

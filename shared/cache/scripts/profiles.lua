-- What the scripts of pages put beside their entries where it is asked for, for those that begin with "uses … profiles.lua":
-- the profile of each player on the page, from the hash that paint.lua fills.
-- A call that asks for them has the hash as its last key and the mark as its last argument, which no id or number is.
local profiles
if ARGV[#ARGV] == '\0profiles' then
  table.remove(ARGV)
  profiles = table.remove(KEYS)
end

-- the answer, and behind all of it the profiles of the members that stand in `flat` from `from` on, each `step` further
local function with_profiles(answer, flat, from, step)
  if not profiles then return answer end
  local users = {}
  for at = from, #flat, step do users[#users + 1] = string.sub(flat[at], 7) end
  answer[#answer + 1] = #users > 0 and redis.call('HMGET', profiles, unpack(users)) or {}
  return answer
end

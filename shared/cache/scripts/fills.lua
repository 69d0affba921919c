-- Counts what fills a build, for the scripts that begin with "uses fills.lua" (leases.py).

-- how many calls have filled it by now; false if it is another's. A call that is asked twice, which its id tells, counts once
local function count_fill(key, token, id)
  if redis.call('HGET', key, '\0building') ~= token then return false end
  if redis.call('HGET', key, '\0fill') == id then return tonumber(redis.call('HGET', key, '\0fills')) end
  redis.call('HSET', key, '\0fill', id)
  return redis.call('HINCRBY', key, '\0fills', 1)
end

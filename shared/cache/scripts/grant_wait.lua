-- Lets a client wait for a change, unless as many wait already. Waits end by themselves: an instance that crashes
-- gives nothing back.
-- KEYS: the sorted set of waits, by when each ends at the latest. ARGV: token, how many may wait, ms.
-- Returns 1 if the wait is granted, else 0.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
  return 0
end
redis.call('ZADD', KEYS[1], now_ms + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], 60000)
return 1

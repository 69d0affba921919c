-- Lets a range be built on demand, if there is room for it.
-- KEYS: the sorted set of ranges by when each was read last (ms), the hash of their bytes, the caller's account: the time
-- (ms) at which all that they had built is paid off.
-- ARGV: range, time (ms), since when a range must have been read to be there still, since when not to be evicted, bytes
-- that it is expected to take, bytes that all may take, whether its server has memory to spare, ms of the caller's time
-- that it costs, ms that a caller has.
-- Returns {'known'}; {'admitted'}; {'full'} without memory to spare; {'spent', ms until the caller has enough}; {'evict', range,
-- …}, which make room once they are gone; {'crowded'} if those would not do.
local range, now_ms, needed = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[5])
for _, gone in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', ARGV[3], 'BYSCORE')) do
  redis.call('HDEL', KEYS[2], gone)
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3])
if redis.call('ZSCORE', KEYS[1], range) then return {'known'} end

if ARGV[7] == '0' then return {'full'} end

local cost_ms, window_ms = tonumber(ARGV[8]), tonumber(ARGV[9])
local paid_off_ms = math.max(now_ms, tonumber(redis.call('GET', KEYS[3]) or 0))
local short_ms = paid_off_ms - now_ms - math.max(0, window_ms - cost_ms) -- what costs more than all may go first
if short_ms > 0 then return {'spent', math.ceil(short_ms)} end

local bytes = 0
for _, each in ipairs(redis.call('HVALS', KEYS[2])) do bytes = bytes + tonumber(each) end
local over, victims = bytes + needed - tonumber(ARGV[6]), {'evict'}
if bytes > 0 and over > 0 then
  for _, victim in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', '(' .. ARGV[4], 'BYSCORE')) do
    if over <= 0 then break end
    victims[#victims + 1] = victim
    over = over - tonumber(redis.call('HGET', KEYS[2], victim) or 0)
  end
  if over > 0 and #victims - 1 < redis.call('ZCARD', KEYS[1]) then return {'crowded'} end
  return victims
end

redis.call('ZADD', KEYS[1], now_ms, range)
redis.call('HSET', KEYS[2], range, string.format('%.0f', needed))
local owed_ms = paid_off_ms + cost_ms - now_ms
redis.call('SET', KEYS[3], string.format('%.0f', now_ms + owed_ms), 'PX', string.format('%.0f', math.max(1, owed_ms)))
return {'admitted'}

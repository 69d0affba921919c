-- Keeps a window that was built because a reader asked for it, for as long as it is read.
-- KEYS[1] the hash of ranges, then the window's keys, its state first and its store last. ARGV: the window's id, until when to keep it (ms).
-- Returns 1 if it is kept, 0 if it is not there.
if redis.call('HEXISTS', KEYS[2], '\0complete') == 0 then return 0 end
local first, last, expires_ms = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^(-?%d+) (-?%d+) (%d+)$')
if first == nil then return 0 end
if tonumber(expires_ms) < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], ARGV[1], first .. ' ' .. last .. ' ' .. ARGV[2])
  for number = 2, #KEYS do redis.call('PEXPIREAT', KEYS[number], ARGV[2], 'GT') end
end
return 1

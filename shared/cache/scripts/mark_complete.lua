-- Says that what was built holds all of the truth, if every fill of the build is still there: a flush takes the builder's
-- token away, another builder replaces it, a failover takes back the last fills and with them their count.
-- KEYS[1] the hash that the build is noted in. For a window then its sorted set, its label set if the leaderboard has filters,
-- and its store; for a leaderboard the marker. ARGV: the token, the count of fills, 'window' and when its keys expire (ms), or
-- 'leaderboard' and the lateness that its windows' expiry goes by (ms).
-- Returns 1 if it is marked as complete.
local known = redis.call('HMGET', KEYS[1], '\0building', '\0fills')
if known[1] ~= ARGV[1] or known[2] ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], '\0building', '\0until', '\0position', '\0standings', '\0fills', '\0fill',
  '\0basis', '\0asked')
if ARGV[3] == 'leaderboard' then
  redis.call('SET', KEYS[2], ARGV[4])
  return 1
end
redis.call('HSET', KEYS[1], '\0complete', '1')
for _, key in ipairs(KEYS) do redis.call('PEXPIREAT', key, ARGV[4], 'GT') end
return 1

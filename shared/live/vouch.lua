-- Says that a window built on demand holds all of the truth, if nothing took away what was filled in since the build
-- began: a flush takes the builder's token, another builder replaces it.
-- KEYS: the window's hash, its sorted set, and its label set if the leaderboard has filters. ARGV: the builder's token, when both expire (0 for never).
-- Returns 1 if the window is vouched for.
if redis.call('HGET', KEYS[1], '\0building') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], '\0building')
redis.call('HSET', KEYS[1], '\0complete', '1')
if ARGV[2] ~= '0' then
  for _, key in ipairs(KEYS) do redis.call('PEXPIREAT', key, ARGV[2]) end
end
return 1

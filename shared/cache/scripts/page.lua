-- A run of entries of a window, and whether the cache holds all of them.
-- KEYS: the marker, the window's hash, its sorted set. ARGV: first and last position, from 0.
-- Returns {marker, "\0complete", "\0revision", entries in the window, {member, score, ...}}.
local known = redis.call('HMGET', KEYS[2], '\0complete', '\0revision')
return {
  redis.call('GET', KEYS[1]),
  known[1],
  known[2],
  redis.call('ZCARD', KEYS[3]),
  redis.call('ZRANGE', KEYS[3], ARGV[1], ARGV[2], 'WITHSCORES'),
}

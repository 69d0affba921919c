-- A run of entries of a window, and whether the cache holds all of them.
-- KEYS: the marker, what keeps the former layout out, the window's state, its sorted set. ARGV: first and last
-- position, from 0.
-- Returns {marker, "\0complete", "\0revision", entries in the window, {member, score, ...}}.
local known = redis.call('HMGET', KEYS[3], '\0complete', '\0revision')
local marker, is_ours = unpack(redis.call('MGET', KEYS[1], KEYS[2]))
return {
  is_ours and marker,
  is_ours and known[1],
  known[2],
  redis.call('ZCARD', KEYS[4]),
  redis.call('ZRANGE', KEYS[4], ARGV[1], ARGV[2], 'WITHSCORES'),
}

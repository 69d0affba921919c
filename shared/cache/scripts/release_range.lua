-- Counts a range no longer. KEYS: the sorted set of ranges, the hash of their bytes. ARGV: range.
redis.call('ZREM', KEYS[1], ARGV[1])
return redis.call('HDEL', KEYS[2], ARGV[1])

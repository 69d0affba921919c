-- Notes what a range takes, one that was evicted while it was built included.
-- KEYS: the sorted set of ranges, the hash of their bytes. ARGV: range, time (ms), bytes.
redis.call('ZADD', KEYS[1], 'NX', ARGV[2], ARGV[1])
return redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])

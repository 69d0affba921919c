-- Notes that a range is read, if it is counted. KEYS: the sorted set of ranges. ARGV: range, time (ms).
return redis.call('ZADD', KEYS[1], 'XX', 'GT', ARGV[2], ARGV[1])

-- Gives a wait back. KEYS: the sorted set of waits. ARGV: its token.
return redis.call('ZREM', KEYS[1], ARGV[1])

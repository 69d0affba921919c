-- Forgets a range, whether it is complete or being built. KEYS: the hash of ranges, the range's own. ARGV: its id.
redis.call('HDEL', KEYS[1], ARGV[1])
for number = 2, #KEYS do redis.call('UNLINK', KEYS[number]) end
return 1

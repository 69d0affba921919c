-- Sets the marker if the rebuild that asks is still the one under way; a flush in between took its token away.
-- KEYS: the token, the marker. ARGV: the asker's token. Returns 1 if the marker was set.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], ARGV[1])
return 1

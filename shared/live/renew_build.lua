-- Notes how far a build is and renews its lease, or gives it back to whoever goes on.
-- KEYS[1] the hash that the build is noted in. ARGV: the builder's token, its count of fills, until when the lease is held
-- (ms; 0: no longer), position and standings.
-- Returns 1 if the build is still the asker's and all there: a flush, a failover or another builder may have come between.
local known = redis.call('HMGET', KEYS[1], '\0building', '\0fills')
if known[1] ~= ARGV[1] or known[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], '\0until', ARGV[3], '\0position', ARGV[4], '\0standings', ARGV[5])
return 1

-- Records how far a build is and renews its lease, or gives it back to whoever goes on.
-- KEYS[1] the hash that the build is noted in. ARGV: the builder's token, its count of fills, until when the lease is held
-- (ms; 0: no longer), position and standings; since when
-- a reader must have asked for the window (ms), if its build ends once no reader does.
-- Returns 1 if the build is still the asker's and all there: a flush, a failover or another builder may have come between;
-- 2 if it is, but no reader has asked since.
local known = redis.call('HMGET', KEYS[1], '\0building', '\0fills', '\0asked')
if known[1] ~= ARGV[1] or known[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], '\0until', ARGV[3], '\0position', ARGV[4], '\0standings', ARGV[5])
if ARGV[6] ~= '' and known[3] and tonumber(known[3]) < tonumber(ARGV[6]) then return 2 end
return 1

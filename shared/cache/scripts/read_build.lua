-- How far a rebuild is. KEYS: the hash that it is noted in, the marker.
-- Returns {marker, until when the lease is held (ms), position, standings}; nil each where there is none.
local known = redis.call('HMGET', KEYS[1], '\0until', '\0position', '\0standings')
return {redis.call('GET', KEYS[2]), known[1], known[2], known[3]}

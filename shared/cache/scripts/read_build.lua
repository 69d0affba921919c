-- How far a rebuild is. KEYS: the hash that it is noted in, the marker, what keeps the former layout out.
-- Returns {marker, until when the lease is held (ms), position, standings}; nil each where there is none.
local known = redis.call('HMGET', KEYS[1], '\0until', '\0position', '\0standings')
local marker, is_ours = unpack(redis.call('MGET', KEYS[2], KEYS[3]))
return {is_ours and marker, known[1], known[2], known[3]}

-- Takes back that the cache is complete, whatever state it is in. Deletes alone: a Redis that is full allows them.
-- Windows that were built on demand are forgotten: nothing feeds them from here on, and the next read builds it again.
-- Builds under way are lost with the keys that they are recorded in: what they have read may be older than what was refused.
-- KEYS[1] the hash of ranges, then whatever else is to go. ARGV[1] the prefix of every key.
local stored = redis.pcall('HKEYS', KEYS[1])
if not stored.err then
  for _, window_id in ipairs(stored) do
    redis.call('UNLINK', ARGV[1] .. 'h:' .. window_id, ARGV[1] .. 'z:' .. window_id, ARGV[1] .. 'f:' .. window_id)
  end
end
for _, key in ipairs(KEYS) do redis.call('UNLINK', key) end
return 1

-- uses former.lua
-- Takes back that the cache is complete, whatever state it is in. Deletes alone: a Redis that is full allows them.
-- Windows that were built on demand are forgotten: nothing feeds them from here on, and the next read builds it again.
-- Builds under way are lost with the keys that they are recorded in: what they have read may be older than what was refused.
-- KEYS: whatever else is to go. ARGV[1] the prefix of every key.
take_back(ARGV[1])
for _, key in ipairs(KEYS) do redis.call('UNLINK', key) end
return 1

-- What a range takes, or is about to. KEYS: the range's own, then the sorted sets of all time and of its days.
-- ARGV: how many are its own, bytes that an entry is expected to take.
-- Returns {bytes of the range's keys, bytes expected, bytes that this server uses, and may use or 0}: no day brings more players than it has, nor all days than all time.
local own, bytes, entries = tonumber(ARGV[1]), 0, 0
for number = 1, own do bytes = bytes + (redis.call('MEMORY', 'USAGE', KEYS[number]) or 0) end
for number = own + 2, #KEYS do entries = entries + redis.call('ZCARD', KEYS[number]) end
local memory = redis.call('INFO', 'memory')
local players = redis.call('ZCARD', KEYS[own + 1]) -- none where all time isn't kept
return {
  bytes,
  (players > 0 and math.min(entries, players) or entries) * tonumber(ARGV[2]),
  tonumber(memory:match('used_memory:(%d+)')),
  tonumber(memory:match('maxmemory:(%d+)')),
}

-- uses former.lua
-- Takes the right to build from the truth what is not marked as complete: one window, or all that a leaderboard keeps.
-- KEYS[1] the hash that the build is noted in: the window's state, or the leaderboard's. For a window KEYS[2], the hash of
-- ranges, which has ingest feed it from now on. ARGV: the builder's token, the time and the length of the lease (ms), what
-- the build goes by, another of which begins it from scratch; the prefix of every key; for a window its id, what the ranges
-- say of it, when it goes (ms), and 1 if a reader asks for it.
-- Returns {'built', 'held' or 'granted', position, standings, fills}. Whoever follows a builder whose lease has lapsed goes
-- on from there: a position is noted after the fills up to it, so where it has survived, so have they.
leave_former(ARGV[5])
local token, now_ms, lease_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local known = redis.call('HMGET', KEYS[1], '\0complete', '\0building', '\0until', '\0position', '\0standings', '\0fills', '\0basis')
local position, standings, fills = tonumber(known[4] or 0), tonumber(known[5] or 0), tonumber(known[6] or 0)
if known[1] then return {'built', position, standings, fills} end
if ARGV[9] == '1' then redis.call('HSET', KEYS[1], '\0asked', ARGV[2]) end
if known[2] and known[2] ~= token and tonumber(known[3]) > now_ms then return {'held', position, standings, fills} end
local unfed = KEYS[2] and redis.call('HSET', KEYS[2], ARGV[6], ARGV[7]) == 1
if unfed or known[7] ~= ARGV[4] then position, standings = 0, 0 end
redis.call('HSET', KEYS[1], '\0building', token, '\0until', string.format('%.0f', now_ms + lease_ms),
  '\0position', position, '\0standings', standings, '\0fills', fills, '\0basis', ARGV[4])
if KEYS[2] then redis.call('PEXPIREAT', KEYS[1], ARGV[8], 'NX') end
return {'granted', position, standings, fills}

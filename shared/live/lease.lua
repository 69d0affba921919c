-- Takes or renews the lease of whoever builds a window, and notes how far the build is; or gives it back.
-- KEYS: the lease, the window's hash. ARGV: the builder's token, for how long (ms; 0 gives it back), days and standings read.
-- Returns {'built'} if the window is vouched for, else {'held' or 'granted', days and standings that its holder has read}.
if redis.call('HEXISTS', KEYS[2], '\0complete') == 1 then
  redis.call('DEL', KEYS[1])
  return {'built'}
end
local known = redis.call('HMGET', KEYS[1], 'token', 'days', 'standings')
if known[1] and known[1] ~= ARGV[1] then return {'held', tonumber(known[2]), tonumber(known[3])} end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('HSET', KEYS[1], 'token', ARGV[1], 'days', ARGV[3], 'standings', ARGV[4])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return {'granted', tonumber(ARGV[3]), tonumber(ARGV[4])}

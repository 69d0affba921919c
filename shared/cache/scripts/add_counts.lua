-- Adds to counters. KEYS: their hash. ARGV: name and what is added, of each.
for place = 1, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[1], ARGV[place], ARGV[place + 1])
end
return #ARGV / 2

-- Keeps functions of the former layout out, for the scripts that begin with "uses former.lua": as layout.lua.
local function former_prefix(key) return string.match(key, '^(.*})') .. ':' end

-- whether a window shares its store with no other: a day and a week have that of their week
local function has_own_store(window_id)
  return not string.match(window_id, '^%d%d%d%d%-%d%d%-%d%d$') and not string.match(window_id, '^%d%d%d%d%-W%d%d$')
end

-- forgets that anything under a prefix is complete, and the windows that were built on demand
local function take_back(prefix)
  local stored = redis.pcall('HKEYS', prefix .. 'ranges')
  for _, window_id in ipairs(stored.err and {} or stored) do
    redis.call('UNLINK', prefix .. 's:' .. window_id, prefix .. 'z:' .. window_id, prefix .. 'f:' .. window_id)
    if has_own_store(window_id) then redis.call('UNLINK', prefix .. 'h:' .. window_id) end
  end
  redis.call('UNLINK', prefix .. 'ranges', prefix .. 'complete', prefix .. 'rebuild')
end

-- Functions before this layout have another one, under the same prefix without what follows the hash tag. What they hold
-- is complete no longer, and a text stands where their hash of the disqualified was: it has them refuse every write and
-- every rebuild, and leave what they committed to the queue of repair. Where it is missing, they may have taken over in
-- between (docs/deployment.md): what is here may lack what they committed.
local function leave_former(prefix)
  local former = former_prefix(prefix)
  if redis.call('TYPE', former .. 'disqualified').ok == 'string' then return end
  take_back(former)
  take_back(prefix)
  redis.call('DEL', former .. 'disqualified')
  redis.call('SET', former .. 'disqualified', 'another layout: see docs/deployment.md')
end

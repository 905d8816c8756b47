-- A slice of one pool, for a dump. The last fragment of:
--
--   clock, dump
--
-- Expects: clock.
--
-- It changes nothing. The last slice of a pool includes what has changed since the first one: newer grants have a
-- higher fence, and released resources a higher rank.

local call, format = redis.call, string.format
local base, from, count = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
-- The fence and the highest rank at the first slice; nil in the first slice itself.
local since_fence, since_high = tonumber(ARGV[3]), tonumber(ARGV[4])
-- The limit on new grants for one script.
local MAX_GRANTS = 20000
-- A rank above all that are given.
local LAST_RANK = 2 ^ 52
-- Without the jumps that servers have added, as all times in Redis.
local now = clock() - ARGV[5]

local counters = call('HMGET', base, 'fence', 'seat', 'high')
if not counters[1] then
  return {}
end
local fence, high = tonumber(counters[1]), tonumber(counters[3]) or 0
local lines, grants = {}, {}

local function num(x)
  return format('%.0f', x)
end

local function seconds(ms)
  return num(math.max(0, math.floor(ms / 1000)))
end

-- Returns the grant with this fence: its lease, the time left, its age, its owner, and the places of its ids.
local function grant_with(name)
  local row = not grants[name] and call('HGET', base .. ':grants', name)
  if row then
    local at, ttl, owner, ids = row:match('^(%d+) (%S+)\n([^\n]*)\n(.*)$')
    local ends = ttl ~= '-' and call('ZSCORE', base .. ':expiry', format('%016.0f', name))
    local left = ttl == '-' and '-' or seconds((tonumber(ends or nil) or now) - now)
    local places, place = {}, 0
    for id in ids:gmatch('[^\n]+') do
      places[id], place = place, place + 1
    end
    grants[name] = {
      head = ' ' .. ttl .. ' ' .. left .. ' ' .. seconds(now - at) .. '\n' .. owner .. '\n',
      places = places,
    }
  end
  return grants[name]
end

local function add_held(id, name)
  local grant = grant_with(name)
  local place = grant and grant.places[id]
  if place then
    lines[#lines + 1] = 'h ' .. name .. ' ' .. num(place) .. grant.head .. id
  end
  return place
end

local function add_free(id, rank)
  lines[#lines + 1] = 'f ' .. num(rank) .. '\n\n' .. id
end

local ids = call('ZRANGE', base .. ':members', from, from + count - 1)
for at, id in ipairs(ids) do
  local holder = call('HGET', base .. ':held', id)
  if not (holder and add_held(id, holder)) then
    -- A resource that is kept for an absent owner has its rank in `ranks`. One in no set gets the last rank.
    local rank = call('ZSCORE', base .. ':free', id) or call('HGET', base .. ':ranks', id)
    add_free(id, tonumber(rank or nil) or LAST_RANK + from + at)
  end
end

local total = call('ZCARD', base .. ':members')
local is_last = from + #ids >= total
if is_last and since_fence then
  if fence - since_fence > MAX_GRANTS then
    return {'again'}
  end
  for one = since_fence + 1, fence do
    local name = num(one)
    local grant = grant_with(name)
    for id in pairs(grant and grant.places or {}) do
      add_held(id, name)
    end
  end
  local freed = call('ZRANGEBYSCORE', base .. ':free', '(' .. num(since_high), '+inf', 'WITHSCORES')
  for at = 1, #freed, 2 do
    add_free(freed[at], tonumber(freed[at + 1]))
  end
  local kept = call('HLEN', base .. ':ranks') > 0 and call('HGETALL', base .. ':ranks') or {}
  for at = 1, #kept, 2 do
    if tonumber(kept[at + 1]) > since_high then
      add_free(kept[at], tonumber(kept[at + 1]))
    end
  end
end
if is_last then
  local held_members = total - call('ZCARD', base .. ':free') - call('HLEN', base .. ':ranks')
  -- Held resources that are no longer members, which are rare.
  if call('HLEN', base .. ':held') > held_members then
    local held = call('HGETALL', base .. ':held')
    for at = 1, #held, 2 do
      if not call('ZSCORE', base .. ':members', held[at]) then
        add_held(held[at], held[at + 1])
      end
    end
  end
end
return {
  num(fence) .. ' ' .. (counters[2] or '0') .. ' ' .. num(high) .. ' ' .. num(total) .. ' ' .. num(#ids),
  table.concat(lines, '\n'),
}

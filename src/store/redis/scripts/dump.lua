-- A slice of one pool, for a dump. The last fragment of:
--
--   clock, dump
--
-- Expects: clock.
--
-- It changes nothing, and reads a limited number of members and grants. New grants since a slice have a higher fence,
-- and released resources a higher rank.

local call, format = redis.call, string.format
-- `from` is a place among the members, a cursor among held resources, or a fence.
local base, what, from, count = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
-- Without the jumps that servers have added, as all times in Redis.
local now = clock() - ARGV[4]

local counters = call('HMGET', base, 'fence', 'seat', 'high')
if not counters[1] then
  return {}
end
local fence, high = tonumber(counters[1]), tonumber(counters[3]) or 0
local total, held_count = call('ZCARD', base .. ':members'), call('HLEN', base .. ':held')
local lines, grants = {}, {}
-- The number of held resources whose grant is missing: Redis stopped the script that released them.
local orphan_count = 0
-- The rank up to which released resources are known.
local freed_up_to = high
-- A rank above all that are given.
local LAST_RANK = 2 ^ 52

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
  else
    orphan_count = orphan_count + 1
  end
  return place
end

local function add_free(id, rank)
  lines[#lines + 1] = 'f ' .. num(rank) .. '\n\n' .. id
end

-- Adds members from this place on. Returns their number.
local function add_members()
  local ids = call('ZRANGE', base .. ':members', from, from + count - 1)
  for at, id in ipairs(ids) do
    local holder = call('HGET', base .. ':held', id)
    if not (holder and add_held(id, holder)) then
      -- A resource that is kept for an absent owner has its rank in `ranks`. One in no set gets the last rank.
      local rank = call('ZSCORE', base .. ':free', id) or call('HGET', base .. ':ranks', id)
      add_free(id, tonumber(rank or nil) or LAST_RANK + from + at)
    end
  end
  return #ids
end

-- Adds those of these held resources that are no members.
local function add_outsiders(held)
  for at = 1, #held, 2 do
    if not call('ZSCORE', base .. ':members', held[at]) then
      add_held(held[at], held[at + 1])
    end
  end
end

-- Adds held resources that are no members, from this cursor on, or all if Redis' user has no right to HSCAN.
local function scan_held()
  local page = redis.pcall('HSCAN', base .. ':held', from, 'COUNT', count)
  if page.err then
    page = {'0', call('HGETALL', base .. ':held')}
  end
  from = page[1]
  add_outsiders(page[2])
end

-- Adds the changes since this fence and this rank. A resource that is free and held counts as held, so the free ones
-- come first.
local function add_changes(since_high)
  local freed = call('ZRANGEBYSCORE', base .. ':free', '(' .. since_high, '+inf', 'WITHSCORES', 'LIMIT', 0, count)
  for at = 1, #freed, 2 do
    add_free(freed[at], tonumber(freed[at + 1]))
  end
  if #freed >= 2 * count then
    freed_up_to = tonumber(freed[#freed])
  end
  local kept = call('HLEN', base .. ':ranks') > 0 and call('HGETALL', base .. ':ranks') or {}
  for at = 1, #kept, 2 do
    if tonumber(kept[at + 1]) > tonumber(since_high) then
      add_free(kept[at], tonumber(kept[at + 1]))
    end
  end
  local first = from + 1
  from = math.max(from, math.min(fence, from + count))
  for one = first, from do
    local name = num(one)
    local grant = grant_with(name)
    for id in pairs(grant and grant.places or {}) do
      if call('HGET', base .. ':held', id) == name then
        add_held(id, name)
      end
    end
  end
  from = num(from)
end

local member_count = 0
if what == 'members' then
  member_count = add_members()
  -- A small pool is whole with its first slice.
  if member_count == total and held_count <= count then
    local held_members = total - call('ZCARD', base .. ':free') - call('HLEN', base .. ':ranks')
    add_outsiders(held_count > held_members and call('HGETALL', base .. ':held') or {})
  end
elseif what == 'held' then
  scan_held()
else
  add_changes(ARGV[5])
end
local head = {
  num(fence), counters[2] or '0', num(high), num(total), num(held_count), num(member_count), num(orphan_count),
  num(freed_up_to), from,
}
return {table.concat(head, ' '), table.concat(lines, '\n')}

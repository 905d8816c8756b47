-- A slice of a long list of the members or locks of one pool. The last fragment of:
--
--   clock, list_slice
--
-- Expects: clock.
--
-- It changes nothing, and reads a limited number of members and grants. New grants since a slice have a higher
-- fence, and released resources a higher rank.

local call, format = redis.call, string.format
local base, what, from, count = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
-- Without the jumps that servers have added, as all times in Redis.
local now = clock() - ARGV[4]
local counters = call('HMGET', base, 'fence', 'high', 'seat')
if not counters[1] then
  return {}
end
local fence, high = tonumber(counters[1]), tonumber(counters[2]) or 0
local rows = {}
-- The rank up to which released resources are known.
local freed_up_to = high

local function num(x)
  return format('%.0f', x)
end

-- Adds a grant: its fence, the end of its lease (0 if that is over), and its stored row.
local function add_grant(name, row)
  local ends = row and row:match('^%d+ (%S+)')
  if ends and ends ~= '-' then
    ends = tonumber(call('ZSCORE', base .. ':expiry', format('%016.0f', name)) or nil) or 0
    ends = num(ends > now and ends or 0)
  end
  if ends then
    rows[#rows + 1] = name .. ' ' .. ends .. ' ' .. row
  end
end

-- Adds a resource that no grant holds.
local function add_free(id)
  rows[#rows + 1] = '0 - 0 -\n\n' .. id
end

-- Adds grants from this cursor on, or all grants if Redis' user has no right to HSCAN.
local function scan()
  local page = redis.pcall('HSCAN', base .. ':grants', from, 'COUNT', count)
  if page.err then
    page = {'0', call('HGETALL', base .. ':grants')}
  end
  from = page[1]
  for at = 1, #page[2], 2 do
    add_grant(page[2][at], page[2][at + 1])
  end
end

-- Adds the changes since this fence and this rank, and the requested grants. A resource that is free and held
-- counts as held, so the free ones come first.
local function add_changes(since_high)
  local freed = call('ZRANGEBYSCORE', base .. ':free', '(' .. since_high, '+inf', 'WITHSCORES', 'LIMIT', 0, count)
  for at = 1, #freed, 2 do
    add_free(freed[at])
  end
  if #freed >= 2 * count then
    freed_up_to = tonumber(freed[#freed])
  end
  local kept = call('HLEN', base .. ':ranks') > 0 and call('HGETALL', base .. ':ranks') or {}
  for at = 1, #kept, 2 do
    if tonumber(kept[at + 1]) > tonumber(since_high) then
      add_free(kept[at])
    end
  end
  local names, first = {}, from + 1
  from = math.max(from, math.min(fence, from + count))
  for one = first, from do
    names[#names + 1] = num(one)
  end
  for at = 6, #ARGV do
    names[#names + 1] = ARGV[at]
  end
  from = num(from)
  local found = #names > 0 and call('HMGET', base .. ':grants', unpack(names)) or {}
  for at, name in ipairs(names) do
    add_grant(name, found[at])
  end
end

if what == 'members' then
  rows = call('ZRANGE', base .. ':members', from, from + count - 1)
  from = num(from + #rows)
elseif what == 'locks' then
  scan()
else
  add_changes(ARGV[5])
end
local head = {
  num(fence), num(high), num(tonumber(counters[3]) or 0), num(call('ZCARD', base .. ':members')),
  num(call('HLEN', base .. ':held')), num(now), num(freed_up_to), from,
}
return {table.concat(head, ' '), rows}

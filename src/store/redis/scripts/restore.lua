-- All pools of a dump, all or nothing. The last fragment of:
--
--   clock, arguments, begin, first_fence, keys, restore
--
-- Expects: prefix, retired, FIRST_POOL (arguments); call, format, now, spread (begin); first_fence; keys_of (keys).
--
-- Nothing is changed if any pool exists, or if a key to be kept has a wrong type. Each pool continues above every
-- fence of a pool of its name. Remains of removed pools are deleted.

local index = KEYS[1]
local RETIRED, STAMPS = '', '\n'
local ESCAPES = {['{'] = '%7B', ['}'] = '%7D', ['%'] = '%25'}

local function num(x)
  return format('%.0f', x)
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch('[^\n]+') do
    lines[#lines + 1] = line
  end
  return lines
end

-- Gives these ids the scores from 0 on.
local function rank(key, ids)
  local ranked = {}
  for place, id in ipairs(ids) do
    ranked[#ranked + 1] = place - 1
    ranked[#ranked + 1] = id
  end
  spread('ZADD', key, ranked)
end

-- A pool may be listed before it exists, and for a while afterwards.
for _, name in ipairs(call('ZRANGE', index, 0, -1)) do
  if call('HLEN', prefix .. '{' .. name:gsub('[{}%%]', ESCAPES) .. '}') > 0 then
    return {now, 'E not empty'}
  end
end
-- The latest fence of each removed pool.
local left = {}
for at = 2, #KEYS do
  if call('HLEN', KEYS[at]) > 0 then
    return {now, 'E not empty'}
  end
  left[at] = tonumber(call('GET', KEYS[at] .. ':fence') or nil) or 0
end

-- Without RETIRED the index was lost, and the fences granted here are unknown.
local known = tonumber(call('ZSCORE', index, RETIRED) or nil) or first_fence(now, 0)
-- A full Redis refuses the first write.
call('ZADD', index, num(math.max(retired, known)), RETIRED)
for one = 2, #KEYS do
  call('UNLINK', unpack(keys_of(KEYS[one])))
end
local at = FIRST_POOL
for one = 2, #KEYS do
  local base, name = KEYS[one], ARGV[at]
  call('ZADD', index, call('ZINCRBY', index, 1, STAMPS), name)
  local fence = math.max(tonumber(ARGV[at + 1]), known, left[one])
  local members, free, count = lines_of(ARGV[at + 2]), lines_of(ARGV[at + 3]), tonumber(ARGV[at + 4])
  at = at + 5
  rank(base .. ':members', members)
  rank(base .. ':free', free)
  local held, rows, owners, ends = {}, {}, {}, {}
  for _ = 1, count do
    local name_of_grant, ttl, owner, age, ids = unpack(ARGV, at, at + 4)
    at = at + 5
    for id in ids:gmatch('[^\n]+') do
      held[#held + 1] = id
      held[#held + 1] = name_of_grant
    end
    rows[#rows + 1] = name_of_grant
    rows[#rows + 1] = num(math.max(0, now - age)) .. ' ' .. ttl .. '\n' .. owner .. '\n' .. ids
    if owner ~= '' then
      owners[#owners + 1] = owner
      owners[#owners + 1] = name_of_grant
    end
    if ttl ~= '-' then
      ends[#ends + 1] = now + ttl * 1000 + 1
      ends[#ends + 1] = format('%016.0f', name_of_grant)
    end
  end
  spread('HSET', base .. ':held', held)
  spread('HSET', base .. ':grants', rows)
  spread('HSET', base .. ':owners', owners)
  spread('ZADD', base .. ':expiry', ends)
  -- Above each place of a removed pool of its name, as that of a new pool.
  local seat = math.max(0, now) * 512 + #members
  call('HSET', base, 'fence', num(fence), 'seat', num(seat), 'high', num(#free), 'low', '0')
end
return {now}

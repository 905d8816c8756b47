-- One pool as it is stored: its keys and counters, and the checks of both.
--
-- Expects: call, format (begin); base (head or seed_head).
-- Defines: key, pool, num, padded, open, close, try_to_remove, try_to_store, try_to_change_queue,
-- try_to_grow.
--
-- A key of a wrong type raises its error when the pool is opened, before any write. No change is stopped
-- half-way by a missing right. This fragment does not know what the keys mean.
--
-- Redis checks the rights of its user, and `maxmemory`, at each command. If it refuses one, the script's
-- earlier writes stay. So the commands at the end of a change are tried before it, in a form that
-- changes nothing. A full Redis refuses only a first write, and only one that takes memory. So a release
-- begins with one that does not, and a grant with one that does.
--
-- Hash fields and values are formatted here. Scores are left to Redis, which reads any form.

-- The keys of the open pool, by their last part.
local key
-- The open pool: its counters, whether it exists, the number of its waiters, and of resources of any
-- kind kept for absent owners. `close` writes it.
local pool

-- The rights that were tried in the open pool.
local may_remove, may_store, may_change_queue

local COUNTERS = {'fence', 'seat', 'high', 'low'}

local function num(x)
  return format('%.0f', x)
end

-- Formats a fence or a place as a member of a sorted set, where equal scores are ordered by bytes.
local function padded(x)
  return format('%016.0f', x)
end

-- Raises an error if a key of the queue, or of a pool's creation and removal, has a wrong type.
local function check_queue()
  call('HLEN', key.waiters)
  call('HLEN', key.queued)
  call('HLEN', key.tickets)
  pool.reserved_count = call('HLEN', key.reserved)
  call('HLEN', key.ranks)
  call('ZCARD', key.any)
  call('ZCARD', key.wanted)
  call('ZCARD', key.absent)
  call('ZCARD', key.servers)
  call('STRLEN', key.fence)
end

-- Does the same for keys that any operation may change. Returns the number of members minus those of
-- free and held resources.
local function check_lending()
  local member_count, free_count = call('ZCARD', key.members), call('ZCARD', key.free)
  local held_count = call('HLEN', key.held)
  call('HLEN', key.grants)
  call('HLEN', key.owners)
  return member_count - free_count - held_count
end

-- Opens a pool, for all that follows. `with_queue` checks the keys of the queue even if it is empty.
local function open(name, seen_fence, with_queue)
  base = name
  key = setmetatable({}, {__index = function(keys, part)
    local full = name .. ':' .. part
    keys[part] = full
    return full
  end})
  local row = call('HMGET', base, 'fence', 'seat', 'high', 'low', 'kept')
  pool = {
    exists = row[1] ~= false,
    stored = row,
    waiting = call('ZCARD', key.line),
    -- The end of the first lease that is known.
    first_end = tonumber(call('ZRANGE', key.expiry, 0, 0, 'WITHSCORES')[2]) or math.huge,
  }
  for at = 1, #COUNTERS do
    pool[COUNTERS[at]] = tonumber(row[at]) or 0
  end
  -- A server of an older version may have left more when the last waiter left the queue.
  pool.kept = pool.waiting > 0 and tonumber(row[5]) or 0
  may_remove, may_store, may_change_queue = false, false, false
  local missing_count = check_lending()
  pool.reserved_count = 0
  if with_queue or pool.waiting > 0 then
    check_queue()
  end
  -- Whether some members are in no set.
  pool.has_lost = missing_count > (pool.waiting > 0 and pool.reserved_count or 0)
  if pool.exists then
    pool.fence = math.max(pool.fence, seen_fence)
  end
end

-- Call it before a change that ends with ZREM.
local function try_to_remove()
  if not may_remove then
    call('ZREM', key.free, '')
    may_remove = true
  end
end

-- Call it before a grant: its fence, or a later one, is stored before it is granted.
local function try_to_store()
  if not may_store then
    local fence = num(pool.fence)
    call('HSET', base, 'fence', fence)
    pool.stored[1], may_store = fence, true
  end
  try_to_remove()
end

-- Call it before a change of the queue, which uses all commands that write.
local function try_to_change_queue()
  if not may_change_queue then
    try_to_remove()
    call('HDEL', key.held, '')
    call('ZADD', key.line, 'XX', 0, '')
    try_to_store()
    may_change_queue = true
  end
end

-- Call it before a change that a full Redis must refuse: the first write then takes memory.
local function try_to_grow()
  call('ZADD', key.line, 'XX', 0, '')
  try_to_change_queue()
end

-- Writes the changed counters.
local function close()
  local fields = {}
  for at = 1, #COUNTERS do
    local value = num(pool[COUNTERS[at]])
    if value ~= pool.stored[at] then
      fields[#fields + 1] = COUNTERS[at]
      fields[#fields + 1] = value
    end
  end
  if pool.kept ~= (tonumber(pool.stored[5]) or 0) then
    fields[#fields + 1] = 'kept'
    fields[#fields + 1] = num(pool.kept)
  end
  if pool.exists and #fields > 0 then
    call('HSET', base, unpack(fields))
  end
end

-- One pool as it is kept: its keys, its counters, and that they are what they should be.
--
-- Promises that a key of a wrong type raises its error when the pool is opened, before anything has
-- been written, and that no change is stopped half-way by a missing right. It does not know what
-- anything means.
--
-- Redis looks at the rights of its user, and at `maxmemory`, at each command. What a script has
-- written before it is refused one stays. So the commands that a change ends with are tried before
-- it begins, in a form that changes nothing. A full Redis refuses only a first write, and only one
-- that takes memory: so a release begins with one that does not, and a grant with one that does.
--
-- Hash fields and values are formatted here; scores are left to Redis, which reads any form.

-- The keys of the pool that is open, by their last part.
local key
-- Its counters, whether it exists, how many waiters it has, and how many free resources of any kind are
-- kept for those of them who are away. Written by `close`.
local pool

-- What the rights of Redis' user were tried for in the open pool.
local may_remove, may_store, may_change_queue

local COUNTERS = {'fence', 'seat', 'high', 'low'}

local function num(x)
  return format('%.0f', x)
end

-- A fence or a place as a member of a sorted set, where equal scores are in the order of the bytes.
local function padded(x)
  return format('%016.0f', x)
end

-- Raises an error if a key that belongs to the queue, or to coming and going of pools, is not what
-- it should be.
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

-- The same for what every operation may change. Answers how many members more there are than
-- resources that are free or held.
local function check_lending()
  local member_count, free_count = call('ZCARD', key.members), call('ZCARD', key.free)
  local held_count = call('HLEN', key.held)
  call('HLEN', key.grants)
  call('HLEN', key.owners)
  return member_count - free_count - held_count
end

-- Makes this pool the one that all else is about. With `with_queue` the keys of the queue are
-- checked even if it is empty.
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
    -- When the first lease ends, as far as is known yet.
    first_end = tonumber(call('ZRANGE', key.expiry, 0, 0, 'WITHSCORES')[2]) or math.huge,
  }
  for at = 1, #COUNTERS do
    pool[COUNTERS[at]] = tonumber(row[at]) or 0
  end
  -- A server of an older version may have left more, when the last one left the queue.
  pool.kept = pool.waiting > 0 and tonumber(row[5]) or 0
  may_remove, may_store, may_change_queue = false, false, false
  local missing_count = check_lending()
  pool.reserved_count = 0
  if with_queue or pool.waiting > 0 then
    check_queue()
  end
  -- Some members are in no set.
  pool.has_lost = missing_count > (pool.waiting > 0 and pool.reserved_count or 0)
  if pool.exists then
    pool.fence = math.max(pool.fence, seen_fence)
  end
end

-- Comes before a change that ends with ZREM.
local function try_to_remove()
  if not may_remove then
    call('ZREM', key.free, '')
    may_remove = true
  end
end

-- Comes before a grant: its fence, or a later one, is kept before it is given.
local function try_to_store()
  if not may_store then
    local fence = num(pool.fence)
    call('HSET', base, 'fence', fence)
    pool.stored[1], may_store = fence, true
  end
  try_to_remove()
end

-- Comes before a change of the queue, which takes all commands that write.
local function try_to_change_queue()
  if not may_change_queue then
    try_to_remove()
    call('HDEL', key.held, '')
    call('ZADD', key.line, 'XX', 0, '')
    try_to_store()
    may_change_queue = true
  end
end

-- Comes before what a full Redis takes no more of: the first write of a script is one that takes memory.
local function try_to_grow()
  call('ZADD', key.line, 'XX', 0, '')
  try_to_change_queue()
end

-- Writes the counters that have changed.
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

-- What has become due comes before any operation: leases that are over, owners who have stayed away
-- too long, servers that have not been heard of.
--
-- Promises the order of the engine: by time; in the same millisecond leases first, by their fences,
-- then places by their order. If very much is due, the rest follows in the next calls, and counts as
-- over until then. It does not know what happens in a queue.

-- How many resources and places leave in one call: that takes Redis some 15 ms of CPU.
local MAX_ENDS = 500

-- The first of a sorted set, if its time has come, and that time.
local function first_due(set)
  local first = call('ZRANGE', set, 0, 0, 'WITHSCORES')
  local due = tonumber(first[2])
  if due and due <= now then
    return first[1], due
  end
end

-- Ends a lease. Answers how many resources were in it, and 1 at least.
local function end_lease(member)
  local grant = grant_with(num(tonumber(member)))
  if grant and grant.ttl ~= '-' then
    release_grant(grant)
  else
    -- Redis has stopped the script that was making the grant.
    call('ZREM', key.expiry, member)
  end
  return grant and #grant.ids or 1
end

local function end_absence(place)
  try_to_change_queue()
  call('ZREM', key.absent, place)
  local w = waiter_at(place)
  if w then
    dismiss(w)
  end
end

-- A server has not been heard of: its waiters leave the queue, and those with an owner are away since
-- it was last heard of. If it is still there to hear that, it asks for them again.
local function drop_server(name, ended)
  try_to_change_queue()
  call('ZREM', key.servers, name)
  local left = waiters_where(function(w) return w.server == name end)
  local until_ms = ended - lapse + grace
  for _, w in ipairs(left) do
    if w.owner ~= '' and until_ms > now then
      go_absent(w, until_ms)
    else
      -- What is reserved for it is set free with all else, before the queue is served.
      dequeue(w)
    end
  end
  if left[1] then
    notify(name, '', 'lapsed')
    serve_from('-inf')
  end
end

-- When this Redis was started, or a little later; 0 if it does not tell. Its word is asked for only
-- when a server may be dead, which is rare.
local function started_at()
  local info = redis.pcall('INFO', 'server')
  local uptime = type(info) == 'string' and info:match('uptime_in_seconds:(%d+)')
  return uptime and now - uptime * 1000 or 0
end

-- A server has given no sign of life for too long. While Redis was away none could; and one that
-- asks right now is alive.
local function suspect(name, ended)
  local until_ms = (name == server and now or started_at()) + lapse
  if until_ms > now then
    try_to_change_queue()
    call('ZREM', key.servers, name)
    call('ZADD', key.servers, until_ms, name)
  else
    drop_server(name, ended)
  end
end

-- A sign of life is never further ahead than one that is given now: else the clock was set back while no server saw
-- it, and a dead server would hold up the queue until then.
local function clamp_heartbeats()
  local latest = now + lapse
  local last = call('ZRANGE', key.servers, -1, -1, 'WITHSCORES')
  while last[1] and tonumber(last[2]) > latest do
    try_to_change_queue()
    call('ZREM', key.servers, last[1])
    call('ZADD', key.servers, latest, last[1])
    last = call('ZRANGE', key.servers, -1, -1, 'WITHSCORES')
  end
end

local function handle_due()
  local left = MAX_ENDS
  while left > 0 do
    local lease, lease_end = first_due(key.expiry)
    local place, place_end
    if pool.waiting > 0 then
      place, place_end = first_due(key.absent)
    end
    if lease and (not place or lease_end <= place_end) then
      left = left - end_lease(lease)
    elseif place then
      end_absence(place)
      left = left - 1
    else
      break
    end
  end
  pool.is_behind = left <= 0 and first_due(key.expiry) ~= nil
  if pool.waiting > 0 then
    clamp_heartbeats()
  end
  while pool.waiting > 0 do
    local name, ended = first_due(key.servers)
    if not name then
      break
    end
    suspect(name, ended)
  end
end

-- Milliseconds until something here may be due; -1 if nobody waits for it.
local function time_to_poll()
  if pool.waiting == 0 then
    return -1
  end
  local next_time = math.huge
  for _, set in ipairs({'expiry', 'absent', 'servers'}) do
    local first = call('ZRANGE', key[set], 0, 1, 'WITHSCORES')
    -- That this server is there is for it to say, and for others to doubt.
    local at = set == 'servers' and first[1] == server and 4 or 2
    next_time = math.min(next_time, tonumber(first[at]) or math.huge)
  end
  return next_time < math.huge and math.max(0, next_time - now) or -1
end

-- Ends what is due before any operation: leases, the places of absent owners, and servers without a heartbeat.
--
-- Expects: call, now (begin); server, grace, lapse (arguments or seed_head); key, pool, num, try_to_change_queue
-- (state); grant_with (grants); release_grant (lending); dequeue, go_absent, notify, waiter_at, waiters_where
-- (queue); dismiss, serve_from (serving).
-- Defines: MAX_ENDS, first_due, end_lease, handle_due, time_to_poll.
--
-- The order is the engine's: by time; within a ms leases first, by their fences, then places in their order. If
-- very much is due, the rest follows in later calls, and counts as over until then.

-- The limit on resources and places that end in one call, which takes Redis some 15 ms of CPU.
local MAX_ENDS = 500

-- Returns the first member of a sorted set and its time, if that is due.
local function first_due(set)
  local first = call('ZRANGE', set, 0, 0, 'WITHSCORES')
  local due = tonumber(first[2])
  if due and due <= now then
    return first[1], due
  end
end

-- Ends a lease. Returns its number of resources, at least 1.
local function end_lease(member)
  local grant = grant_with(num(tonumber(member)))
  if grant and grant.ttl ~= '-' then
    release_grant(grant)
  else
    -- Redis stopped the script that made the grant.
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

-- Drops a server: its waiters leave the queue, and those with an owner count as absent since its last heartbeat. If
-- it is alive, it gets this notice and queues them again.
local function drop_server(name, ended)
  try_to_change_queue()
  call('ZREM', key.servers, name)
  local left = waiters_where(function(w) return w.server == name end)
  local until_ms = ended - lapse + grace
  for _, w in ipairs(left) do
    if w.owner ~= '' and until_ms > now then
      go_absent(w, until_ms)
    else
      -- Its reserved resource becomes free with all others, before the queue is served.
      dequeue(w)
    end
  end
  if left[1] then
    notify(name, '', 'lapsed')
    serve_from('-inf')
  end
end

-- Returns the time of Redis' start, or a little later; 0 if Redis does not tell. It is needed only when a server
-- may be dead, which is rare.
local function started_at()
  local info = redis.pcall('INFO', 'server')
  local uptime = type(info) == 'string' and info:match('uptime_in_seconds:(%d+)')
  return uptime and now - uptime * 1000 or 0
end

-- Handles a server whose heartbeat is overdue. While Redis was down no server could send one, and the calling
-- server is alive.
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

-- Limits heartbeats to the time of a heartbeat given now. A later one shows that the clock was set back while no
-- server saw it, and a dead server would hold up the queue until then.
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

-- Returns the ms until a waiter may have to be served; -1 if the queue is empty.
local function time_to_poll()
  if pool.waiting == 0 then
    return -1
  end
  local next_time = math.huge
  for _, set in ipairs({'expiry', 'absent', 'servers'}) do
    local first = call('ZRANGE', key[set], 0, 1, 'WITHSCORES')
    -- The heartbeat of this server is its own task; that of another one may show a dead server.
    local at = set == 'servers' and first[1] == server and 4 or 2
    next_time = math.min(next_time, tonumber(first[at]) or math.huge)
  end
  return next_time < math.huge and math.max(0, next_time - now) or -1
end

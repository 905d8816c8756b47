-- The queue of a pool: its waiters, their requests and their order.
--
-- Expects: call, now (begin); base (head or seed_head); server, lapse,
-- channel (arguments or seed_head); key, pool, num,
-- padded, try_to_change_queue, try_to_grow (state).
-- Defines: waiter_at, waiter_with, waiter_owned_by, keep_waiter, first_for_any, is_held_up,
-- first_for, waiters_from, waiters_where, list_selection, unlist_selection, ticket_of, list_ticket,
-- unlist_ticket, end_of_ticket, since_of, enqueue, dequeue, go_absent, notify, record_heartbeat.
--
-- The sets of the queue always agree with each other. This fragment does not know when a waiter can
-- be served. A place is a text of 16 digits, so that places compare like numbers.
--
-- A place contains the time since which its waiter has it, and a ticket the end of the wait.
-- Servers of an older version count places up from the last one, and store no end.

local function waiter_of_row(place, row)
  local whose, serial, n, id, owner, ttl, woken =
    row:match('^([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)$')
  return {
    place = place,
    -- The server of its client; empty while an owner is absent.
    server = whose,
    serial = serial,
    -- The number of resources of any kind, or the id of one.
    n = tonumber(n),
    id = id,
    owner = owner,
    ttl = ttl,
    woken = tonumber(woken),
  }
end

local function waiter_at(place)
  local row = place and call('HGET', key.waiters, place)
  return row and waiter_of_row(place, row)
end

local function waiter_with(serial)
  local ticket = pool.waiting > 0 and call('HGET', key.tickets, server .. '/' .. serial)
  return ticket and waiter_at(ticket:sub(1, 16))
end

local function waiter_owned_by(owner)
  return pool.waiting > 0 and owner ~= '' and waiter_at(call('HGET', key.queued, owner))
end

local function keep_waiter(w)
  local n = w.n and num(w.n) or ''
  local row = {w.server, w.serial, n, w.id, w.owner, w.ttl, num(w.woken)}
  call('HSET', key.waiters, w.place, table.concat(row, '\n'))
end

-- Returns the place of the first waiter for any resources, absent owners included.
local function first_for_any()
  return pool.waiting > 0 and call('ZRANGE', key.any, 0, 0)[1]
end

-- Returns true if a waiter for any resources, with its client connected, holds up all later ones.
local function is_held_up()
  local absent = pool.waiting > 0 and call('ZCARD', key.absent)
  local places = absent and call('ZRANGE', key.any, 0, absent) or {}
  for at = 1, #places do
    if at > absent or not call('ZSCORE', key.absent, places[at]) then
      return true
    end
  end
  return false
end

-- Returns the place of the first waiter for this resource. Only digits follow the newline, and ':'
-- comes after 9.
local function first_for(id)
  local from, to = '[' .. id .. '\n', '(' .. id .. '\n:'
  local first = call('ZRANGEBYLEX', key.wanted, from, to, 'LIMIT', 0, 1)[1]
  return first and first:sub(-16)
end

-- Returns up to `count` waiters from a place on, in order. The place has ZRANGEBYSCORE's format.
local function waiters_from(place, count)
  local places = call('ZRANGEBYSCORE', key.line, place, '+inf', 'LIMIT', 0, count)
  local rows = #places > 0 and call('HMGET', key.waiters, unpack(places)) or {}
  local waiters = {}
  for at = 1, #places do
    waiters[at] = waiter_of_row(places[at], rows[at])
  end
  return waiters
end

-- Returns all waiters for which `chosen` is true, in order.
local function waiters_where(chosen)
  local rows = pool.waiting > 0 and call('HGETALL', key.waiters) or {}
  local waiters = {}
  for at = 1, #rows, 2 do
    local w = waiter_of_row(rows[at], rows[at + 1])
    if chosen(w) then
      waiters[#waiters + 1] = w
    end
  end
  table.sort(waiters, function(a, b) return a.place < b.place end)
  return waiters
end

-- Lists the request of a waiter.
local function list_selection(w)
  if w.n then
    call('ZADD', key.any, w.place, w.place)
  else
    call('ZADD', key.wanted, 0, w.id .. '\n' .. w.place)
  end
end

local function unlist_selection(w)
  if w.n then
    call('ZREM', key.any, w.place)
  else
    call('ZREM', key.wanted, w.id .. '\n' .. w.place)
  end
end

-- Returns the name of a waiter's ticket; it is no ticket's if the waiter is absent.
local function ticket_of(w)
  return w.server .. '/' .. w.serial
end

local function list_ticket(w, ends)
  call('HSET', key.tickets, ticket_of(w), w.place .. ' ' .. num(ends))
end

local function unlist_ticket(w)
  if w.server ~= '' then
    call('HDEL', key.tickets, ticket_of(w))
  end
end

-- Returns the end of the wait in a ticket; nil if there is no ticket, or no end in it.
local function end_of_ticket(ticket)
  return ticket and tonumber(ticket:sub(18))
end

-- Returns the time in ms since which a waiter is queued.
local function since_of(w)
  return math.floor(tonumber(w.place) / 1000)
end

-- Appends a waiter to the queue, until `ends`.
local function enqueue(w, ends)
  try_to_grow()
  local last = call('ZRANGE', key.line, -1, -1)[1]
  w.place = padded(math.max((tonumber(last) or 0) + 1, now * 1000))
  call('ZADD', key.line, w.place, w.place)
  keep_waiter(w)
  list_selection(w)
  list_ticket(w, ends)
  if w.owner ~= '' then
    call('HSET', key.queued, w.owner, w.place)
  end
  pool.waiting = pool.waiting + 1
end

-- Removes a waiter. A resource that is reserved for it stays reserved.
local function dequeue(w)
  try_to_change_queue()
  call('ZREM', key.line, w.place)
  call('HDEL', key.waiters, w.place)
  unlist_selection(w)
  unlist_ticket(w)
  if w.owner ~= '' then
    call('HDEL', key.queued, w.owner)
    call('ZREM', key.absent, w.place)
  end
  pool.waiting = pool.waiting - 1
  if pool.waiting == 0 then
    pool.kept = 0
  end
end

-- Marks an owner as absent, with its place kept until `until_ms`.
local function go_absent(w, until_ms)
  try_to_change_queue()
  unlist_ticket(w)
  w.server, w.serial, w.woken = '', '', 0
  keep_waiter(w)
  call('ZADD', key.absent, until_ms, w.place)
end

-- Publishes a message to a server: a reply to one of its waiters, or without a serial a request to
-- poll this pool. A missing right must not stop the change: then servers find out by their polls.
local function notify(whom, serial, reply)
  redis.pcall('PUBLISH', channel .. whom, base .. '\n' .. serial .. '\n' .. reply)
end

-- Records that this server is alive and has waiters in this pool.
local function record_heartbeat()
  try_to_change_queue()
  call('ZREM', key.servers, server)
  call('ZADD', key.servers, now + lapse, server)
end

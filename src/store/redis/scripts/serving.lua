-- The waiters that a freed resource goes to, and the consequences of a waiter's departure.
--
-- Expects: call, now (begin); server (arguments or seed_head); served (head or
-- seed_head); key, pool, try_to_change_queue (state);
-- lend (grants); count_of, free_for, lendable_count, put_in_free (lending); dequeue, first_for, first_for_any,
-- keep_waiter, notify, waiter_at, waiters_from (queue).
-- Defines: serve_from, serve_behind, dismiss, answer_to, attempt, and offer, which lending declares.
--
-- The rule: walk the queue from the front, with the resources that are free and not reserved. A waiter
-- for any K resources takes them if K are left, and otherwise holds up all behind it. A waiter for a
-- named resource takes it if it is left. If an absent owner could take something now, that is kept for
-- it, and it holds up no waiter. Of resources of any kind only the number is kept. Each walk decides all
-- this again.
-- A script grants to waiters of the calling server alone, since only that server gets the reply. Other
-- servers are woken. Meanwhile their waiter for any K holds the queue, and a named resource stays
-- reserved. So no waiter is overtaken.
--
-- Each waiter that could be served is served, or its server is woken. This fragment does not know why a
-- resource has become free.

-- The place of the waiter that the current operation is for, and its reply, which does not go to
-- `served`.
local asking, answer

local function is_reserved_for(w)
  return not w.n and call('HGET', key.reserved, w.id) == w.place
end

-- Grants these to a waiter, or its named resource, which is free or reserved for it.
local function serve(w, ids)
  try_to_change_queue()
  local reply = lend(ids or {w.id}, w.owner, w.ttl, w.serial)
  if not ids then
    call('HDEL', key.reserved, w.id)
    call('HDEL', key.ranks, w.id)
  end
  if w.place == asking then
    answer = reply
  else
    served[#served + 1] = w.serial
    served[#served + 1] = reply
  end
  dequeue(w)
end

-- Wakes the server of a waiter, at most once a second.
local function wake(w)
  local since = now - w.woken
  if w.server ~= '' and (since < 0 or since >= 1000) then
    try_to_change_queue()
    w.woken = now
    keep_waiter(w)
    notify(w.server, '', '')
  end
end

-- Grants a named resource that is free to its waiter, or reserves it until the waiter's server asks.
local function serve_named(w)
  if w.server == server then
    return serve(w)
  end
  try_to_change_queue()
  local rank = call('ZSCORE', key.free, w.id)
  call('HSET', key.ranks, w.id, rank)
  call('HSET', key.reserved, w.id, w.place)
  call('ZREM', key.free, w.id)
  wake(w)
end

-- Serves one waiter if possible. Returns true if those behind it may be served.
local function pass(w)
  local ids = free_for(w.n, w.id)
  if not ids then
    return not w.n or w.server == ''
  elseif not w.n then
    serve_named(w)
  elseif w.server == server then
    serve(w, ids)
  elseif w.server == '' then
    pool.kept = pool.kept + count_of(w.n)
  else
    wake(w)
    return false
  end
  return true
end

-- Makes a reserved resource free again, at its rank in the order of lending.
local function unreserve(id)
  try_to_change_queue()
  local rank = call('HGET', key.ranks, id)
  if rank then
    call('ZADD', key.free, rank, id)
    call('HDEL', key.ranks, id)
  else
    -- A server of an older version reserved it.
    put_in_free(id)
  end
  call('HDEL', key.reserved, id)
end

-- Frees all that is reserved for waiters from this place on, and all that is kept of any kind.
local function unreserve_from(place)
  pool.kept = 0
  local reserved = call('HLEN', key.reserved) > 0 and call('HGETALL', key.reserved) or {}
  for at = 1, #reserved, 2 do
    if place == '-inf' or reserved[at + 1] >= place then
      unreserve(reserved[at])
    end
  end
end

-- Serves all waiters from `place` on that can be served, and decides what is kept for absent owners
-- there. No waiter for any resources may be before it. Most often it serves the first one or none, so it
-- reads a few waiters at first, then more.
local function serve_from(place)
  unreserve_from(place)
  local count = 2
  while pool.waiting > 0 do
    local waiters = waiters_from(place, count)
    for _, w in ipairs(waiters) do
      if lendable_count() == 0 or not pass(w) then
        return
      end
    end
    if #waiters < count then
      return
    end
    place = '(' .. waiters[#waiters].place
    count = math.min(count * 4, 512)
  end
end

-- Offers a freed resource to the waiter that is next.
function offer(id)
  local first = first_for_any()
  local place = first_for(id)
  if place and (not first or place < first) then
    serve_named(waiter_at(place))
  elseif first then
    serve_from(first)
  end
end

-- Serves those behind a waiter that came, or became absent: it holds up others now, and other resources
-- are kept.
local function serve_behind(w)
  if w.n then
    serve_from(first_for_any())
  end
end

-- Removes a waiter without a reply, and serves those that it held up.
local function dismiss(w)
  local first = first_for_any()
  dequeue(w)
  if w.n then
    serve_from(first)
  elseif is_reserved_for(w) then
    unreserve(w.id)
    offer(w.id)
  end
end

-- Does an action that may serve the waiter of the current operation. Returns the reply if it did.
local function answer_to(w, act, ...)
  asking, answer = w.place, nil
  act(...)
  asking = nil
  return answer
end

-- Serves a waiter of this server that asks again, if it is next.
local function attempt(w)
  if is_reserved_for(w) then
    serve(w)
  else
    serve_behind(w)
  end
end

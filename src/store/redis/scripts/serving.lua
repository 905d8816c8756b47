-- The waiter that a freed resource goes to, and what follows when a waiter leaves.
--
-- The rule: go through the queue from the front, with what is free and not yet reserved. A waiter for any
-- K resources takes them if K are left, and otherwise holds up all behind it. A waiter for a named
-- resource takes it if it is left. For an owner who is away, what it could take now is kept, and it
-- holds nobody up. Of resources of any kind only the number is kept. All this is decided afresh at
-- each walk.
-- What is granted here is granted only to waiters of the server that asks: it is there to pass it
-- on. Others are woken; a waiter for any K holds the queue meanwhile, and a named resource is kept for
-- its waiter. So no waiter is overtaken.
--
-- Promises that no waiter that could be served is left without knowing it. It does not know why
-- something has become free.

-- The place whose waiter asks right now, and the reply to it, instead of an entry in `served`.
local asking, answer

local function is_reserved_for(w)
  return not w.n and call('HGET', key.reserved, w.id) == w.place
end

-- Grants a waiter these, or the one that it wants, and that is free or was kept for it.
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

-- Tells a waiter's server to look; if it has just been told, it is on its way.
local function wake(w)
  local since = now - w.woken
  if w.server ~= '' and (since < 0 or since >= 1000) then
    try_to_change_queue()
    w.woken = now
    keep_waiter(w)
    notify(w.server, '', '')
  end
end

-- The named resource that a waiter wants is free: it is granted, or kept until its client is there.
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

-- Does for one waiter what can be done. Answers whether those behind it may be looked at.
local function pass(w)
  local ids = free_for(w.n, w.id)
  if not ids then
    return not w.n or w.server == ''
  elseif not w.n then
    serve_named(w)
  elseif w.server == server then
    serve(w, ids)
  elseif w.server == '' then
    pool.kept = pool.kept + w.n
  else
    wake(w)
    return false
  end
  return true
end

-- Makes what is reserved free, where it was in the order of lending.
local function unreserve(id)
  try_to_change_queue()
  local rank = call('HGET', key.ranks, id)
  if rank then
    call('ZADD', key.free, rank, id)
    call('HDEL', key.ranks, id)
  else
    -- A server of an older version has reserved it.
    put_in_free(id)
  end
  call('HDEL', key.reserved, id)
end

-- Nothing is kept any more for the waiters at this place and behind it, nor anything of any kind.
local function unreserve_from(place)
  pool.kept = 0
  local reserved = call('HLEN', key.reserved) > 0 and call('HGETALL', key.reserved) or {}
  for at = 1, #reserved, 2 do
    if place == '-inf' or reserved[at + 1] >= place then
      unreserve(reserved[at])
    end
  end
end

-- Serves everybody at `place` or behind it who can be served, and decides what is kept for the absent
-- owners there. No waiter for any resources may stand in front of it. Most often the first one is
-- served or nobody is: so it reads a few at first, then more.
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

-- A resource has become free: hands it to whom it is due.
function offer(id)
  local first = first_for_any()
  local place = first_for(id)
  if place and (not first or place < first) then
    serve_named(waiter_at(place))
  elseif first then
    serve_from(first)
  end
end

-- A waiter has come or gone away and keeps its place: whom it may hold up has changed, and what is
-- kept.
local function serve_behind(w)
  if w.n then
    serve_from(first_for_any())
  end
end

-- Takes a waiter out, and serves those whom it stood in the way of. It is not told.
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

-- Does something that may serve this waiter, who asks right now. Answers the reply if it did.
local function answer_to(w, act, ...)
  asking, answer = w.place, nil
  act(...)
  asking = nil
  return answer
end

-- Serves a waiter of this server that asks again, if it is its turn.
local function attempt(w)
  if is_reserved_for(w) then
    serve(w)
  else
    serve_behind(w)
  end
end

-- Whom a freed resource goes to, and what follows when somebody leaves.
--
-- The rule: go through the line from the front. A waiter for any K resources takes them if K are
-- free, and otherwise holds up all behind it. A waiter for a named resource takes it if it is free.
-- What is granted here is granted only to waiters of the server that asks: it is there to pass it
-- on. Others are woken, and an owner who is away is waited for; a waiter for any K holds the line
-- meanwhile, and a named resource is kept for who wants it. So nobody is overtaken.
--
-- Promises that nobody stands in line who could be served and knows nothing of it. It does not know
-- why something has become free.

-- The place whose waiter asks right now, and the reply to it, instead of an entry in `served`.
local asking, answer

local function is_kept_for(w)
  return not w.n and call('HGET', key.reserved, w.id) == w.place
end

local function serve(w)
  leave(w)
  local reply = lend(w.n, w.id, w.owner, w.ttl, w.serial)
  if w.place == asking then
    answer = reply
  else
    served[#served + 1] = w.serial
    served[#served + 1] = reply
  end
end

-- Tells a waiter's server to look; if it has just been told, it is on its way.
local function wake(w)
  local since = now - w.woken
  if w.server ~= '' and (since < 0 or since >= 1000) then
    w.woken = now
    keep_waiter(w)
    tell(w.server, '', '')
  end
end

-- What a waiter wants is free, or kept for it: it is granted, or kept until somebody is there.
local function serve_named(w)
  if w.server == server then
    return serve(w)
  end
  if call('ZREM', key.free, w.id) == 1 then
    call('HSET', key.reserved, w.id, w.place)
  end
  wake(w)
end

-- Does for one waiter what can be done. Answers whether those behind it may be looked at.
local function pass(w)
  if not w.n then
    if is_free(nil, w.id) or is_kept_for(w) then
      serve_named(w)
    end
    return true
  end
  if w.server == '' or not is_free(w.n) then
    return false
  end
  if w.server ~= server then
    wake(w)
    return false
  end
  serve(w)
  return true
end

-- Serves everybody at `place` or behind it who can be served. Most often that is the first one or
-- nobody: so it reads a few at first, then more.
local function serve_from(place)
  local count = 2
  while pool.waiting > 0 do
    local waiters = waiters_from(place, count)
    for _, w in ipairs(waiters) do
      if not pass(w) then
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
  local held_up = held_up_from()
  local place = first_for(id)
  if place and (not held_up or place < held_up) then
    serve_named(waiter_at(place))
  elseif held_up then
    serve_from(held_up)
  end
end

-- Makes what was kept for a waiter free. Answers whether there was anything.
local function unreserve_for(w)
  if not is_kept_for(w) then
    return false
  end
  call('HDEL', key.reserved, w.id)
  put_in_free(w.id)
  return true
end

-- A waiter wants something else than before, which may give it a right to what is kept for others
-- behind it. Those go back in seeding order.
local function unreserve_all()
  local kept = call('HKEYS', key.reserved)
  local seats = {}
  for _, id in ipairs(kept) do
    seats[id] = tonumber(call('ZSCORE', key.members, id)) or 0
  end
  table.sort(kept, function(a, b) return seats[a] < seats[b] end)
  for _, id in ipairs(kept) do
    call('HDEL', key.reserved, id)
    put_in_free(id)
  end
end

-- Takes a waiter out, and serves those whom it stood in the way of. It is not told.
local function dismiss(w)
  local held_up = held_up_from()
  leave(w)
  if held_up == w.place then
    serve_from(w.place)
  end
  if unreserve_for(w) then
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
  if is_kept_for(w) then
    serve(w)
  elseif w.n and held_up_from() == w.place then
    serve_from(w.place)
  end
end

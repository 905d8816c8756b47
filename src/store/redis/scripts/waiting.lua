-- Acquires that may wait, and the end of waiting.
--
-- Expects: call, now (begin); server, grace (arguments); key, pool, padded, try_to_change_queue (state);
-- end_of_lease, grant_owned_by, lend (grants); count_of, early_reply, free_for, lendable_count (lending); all
-- of queue; answer_to, attempt, dismiss, serve_behind, serve_from (serving); MAX_ENDS, first_due,
-- end_lease (due).
-- Defines: acquire, withdraw.
--
-- Refusals are those of the engine, in its order. This fragment does not choose how long a waiter
-- waits.

-- Serves a place whose request may have changed.
local function serve_anew(w, is_changed)
  if is_changed then
    serve_from('-inf')
  else
    attempt(w)
  end
end

-- Moves the place of a queued owner to its new request.
local function take_over(w, serial, n, id, ttl, ends)
  try_to_change_queue()
  if w.server ~= '' then
    notify(w.server, w.serial, 'E busy')
  end
  unlist_ticket(w)
  unlist_selection(w)
  call('ZREM', key.absent, w.place)
  local is_changed = w.n ~= n or w.id ~= id
  w.server, w.serial, w.n, w.id, w.ttl, w.woken = server, ends and serial or '', n, id, ttl, 0
  keep_waiter(w)
  list_selection(w)
  local reply = answer_to(w, serve_anew, w, is_changed)
  if reply then
    return reply
  end
  if ends then
    list_ticket(w, ends)
    record_heartbeat()
    return 'W' .. w.place
  end
  go_absent(w, now + grace)
  serve_behind(w)
  return 'E busy'
end

-- The number of leases that acquires of this call may still end beyond their own need.
local ends_left = MAX_ENDS

local function end_if_over(fence)
  local ends = fence and end_of_lease(fence)
  if ends and ends <= now then
    end_lease(padded(fence))
  end
end

local function could_be_lent(n, id)
  return not n and free_for(n, id) or n and count_of(n) <= lendable_count()
end

-- Ends leases that are over until the request can be served: first its owner's own, then that of the
-- requested resource, then the oldest.
local function end_due_leases(n, id, owner)
  end_if_over(owner ~= '' and call('HGET', key.owners, owner))
  end_if_over(not n and call('HGET', key.held, id))
  if not n and call('HEXISTS', key.held, id) == 1 then
    return
  end
  local left = count_of(n) or 1
  while (left > 0 or ends_left > 0) and (is_held_up() or not could_be_lent(n, id)) do
    local lease = first_due(key.expiry)
    if not lease then
      return
    end
    local count = end_lease(lease)
    ends_left = ends_left - math.max(0, count - left)
    left = math.max(0, left - count)
  end
end

local function acquire(serial, n, id, owner, ttl, wait_ms, had_place, room)
  local waits = wait_ms ~= nil
  local ends = waits and now + wait_ms
  local asks_again = waits and waiter_with(serial)
  if asks_again then
    local reply = answer_to(asks_again, attempt, asks_again)
    if not reply then
      record_heartbeat()
    end
    return reply or 'W' .. asks_again.place
  end
  if pool.is_behind and not grant_owned_by(owner) then
    end_due_leases(n, id, owner)
  end
  local reply = early_reply(n, id, owner, ttl)
  if reply then
    return reply
  end
  local w = waiter_owned_by(owner)
  if w then
    -- A request that does not wait cannot take the place of one that waits.
    if not waits and w.server ~= '' then
      return 'E busy'
    end
    -- Through another server a newer request of this owner has taken the place.
    if had_place and w.server ~= '' and w.server ~= server then
      return 'E busy'
    end
    return take_over(w, serial, n, id, ttl, ends)
  end
  local ids = not is_held_up() and free_for(n, id)
  if ids then
    return lend(ids, owner, ttl, waits and serial or '')
  end
  if not waits then
    return 'E busy'
  end
  if pool.waiting >= room then
    return 'E queue full'
  end
  w = {server = server, serial = serial, n = n, id = id, owner = owner, ttl = ttl, woken = 0}
  enqueue(w, ends)
  record_heartbeat()
  return 'W' .. w.place
end

-- Withdraws a waiter: its client is gone, or its wait has ended.
local function withdraw(serial, is_late)
  local w = waiter_with(serial)
  if not w then
    return '-'
  end
  if not is_late and w.owner ~= '' then
    go_absent(w, now + grace)
    serve_behind(w)
    return 'E busy'
  end
  local reply = is_late and answer_to(w, attempt, w)
  if reply then
    return reply
  end
  dismiss(w)
  return 'E busy'
end

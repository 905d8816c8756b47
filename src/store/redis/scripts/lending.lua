-- The operations on locks: acquire, renew and release. Each takes its arguments as the table of
-- operations names them, and returns its reply.
--
-- Expects: call, now (begin); key, pool, num, try_to_remove (state); all of grants.
-- Defines: LONG, put_in_free, release_grant, lendable_count, ALL, count_of, free_for, unsatisfiable,
-- early_reply, acquire_without_queue, release, renew, renew_owned, release_all, release_these, undo. It
-- declares offer, which serving defines.
--
-- Refusals are those of the engine, in its order, and a refused operation has changed nothing. The
-- queue is left to later fragments, which are created only if a waiter is queued.

-- The answer instead of a longer list, or of a longer release. The server does that in slices, before the rest of its
-- batch.
local LONG = 'long'
-- The limit on resources that a release of all releases in one call.
local MAX_RELEASES = 500

-- Offers a freed resource to the next waiter. The fragment serving defines it, before a waiter can be
-- queued.
local offer

local function put_in_free(id)
  pool.high = pool.high + 1
  call('ZADD', key.free, pool.high, id)
end

-- Puts these at the end of the order of lending, and removes them from their grant with `take`. Those
-- that are no longer members are dropped.
--
-- A resource must not be offered before it has left its grant. So with waiters all but the first
-- become free after that. An error in one offer must not prevent the others.
local function put_back(ids, take, grant, id)
  try_to_remove()
  local members = {}
  for _, one in ipairs(ids) do
    if call('ZSCORE', key.members, one) then
      members[#members + 1] = one
      if #members == 1 or pool.waiting == 0 then
        put_in_free(one)
      end
    end
  end
  take(grant, id)
  local problem
  for at = 1, pool.waiting > 0 and #members or 0 do
    if at > 1 then
      put_in_free(members[at])
    end
    local is_done, what = pcall(offer, members[at])
    problem = problem or not is_done and what
  end
  if problem then
    error(problem, 0)
  end
end

local function release_grant(grant)
  put_back(grant.ids, end_grant, grant)
end

local function release_resource(grant, id)
  if #grant.ids == 1 then
    return release_grant(grant)
  end
  put_back({id}, shrink_grant, grant, id)
end

-- Returns the number of free resources that are not kept for absent owners.
local function lendable_count()
  return math.max(0, call('ZCARD', key.free) - pool.kept)
end

-- The count that stands for all members.
local ALL = 1000000000

-- Returns the number of resources that a count stands for; nil for a named one. All of none are one, so that
-- a pool without members never serves them.
local function count_of(n)
  return n == ALL and math.max(1, call('ZCARD', key.members)) or n
end

-- Returns resources to lend for this, whatever the queue; nil if there are not enough.
local function free_for(n, id)
  n = count_of(n)
  if pool.kept > 0 and (n or 1) > lendable_count() then
    return
  end
  if n then
    return first_free(n)
  end
  local is_free = call('ZSCORE', key.free, id) and call('HEXISTS', key.held, id) == 0
  return is_free and {id} or nil
end

-- Returns why the pool can never serve this, even with all resources free; nil if it can.
local function unsatisfiable(n, id)
  if n then
    local count = call('ZCARD', key.members)
    return count_of(n) > count and 'E only ' .. num(count) or nil
  end
  return not call('ZSCORE', key.members, id) and 'E no resource' or nil
end

-- Answers an owner that repeats its acquire: the same lock, with its lease restarted.
local function recover(grant, n, id, ttl)
  local count = #grant.ids
  if n == ALL and call('HLEN', key.held) == count and call('ZCARD', key.free) + call('HLEN', key.reserved) == 0 then
    n = count
  end
  local is_the_same = n == count or (not n and count == 1 and grant.ids[1] == id)
  if not is_the_same then
    return 'E owner holds ' .. num(count)
  end
  renew_lease(grant, ttl)
  return 'H' .. leases(grant, grant.ids)
end

-- Returns the reply to an acquire that does not depend on free resources; nil if it does.
local function early_reply(n, id, owner, ttl)
  local own = grant_owned_by(owner)
  if own then
    return recover(own, n, id, ttl)
  end
  return unsatisfiable(n, id)
end

-- Acquires while the queue is empty. Returns nil if the request must be queued. Most requests find a
-- free resource, so `unsatisfiable` comes last.
local function acquire_without_queue(serial, n, id, owner, ttl, wait_ms)
  local own = grant_owned_by(owner)
  if own then
    return recover(own, n, id, ttl)
  end
  local ids = free_for(n, id)
  if ids then
    return lend(ids, owner, ttl, wait_ms and serial or '')
  end
  return unsatisfiable(n, id) or not wait_ms and 'E busy' or nil
end

local function release(id, owner, fence, force)
  local grant = grant_holding(id)
  if not grant then
    -- For an owner that repeats its release the result is there already.
    return owner ~= '' and 'F' or 'E not held'
  end
  local refusal = objection(grant, owner, fence, force)
  if refusal then
    return refusal
  end
  release_resource(grant, id)
  return 'D'
end

local function renew(id, owner, fence, ttl)
  local grant = grant_holding(id)
  local refusal = not grant and 'E not held' or objection(grant, owner, fence, false)
  if refusal then
    return refusal
  end
  renew_lease(grant, ttl)
  return 'L' .. leases(grant, {id})
end

local function renew_owned(owner, fence, ttl)
  local grant = grant_owned_by(owner)
  local refusal = not grant and 'E not held' or objection(grant, owner, fence, false)
  if refusal then
    return refusal
  end
  renew_lease(grant, ttl)
  return 'L' .. leases(grant, grant.ids)
end

-- Releases the matching grants, the oldest first. Of very many, the server has a slice after the other released.
local function release_all(owner, older_s)
  if owner == '' and call('HLEN', key.held) > MAX_RELEASES then
    return LONG
  end
  local grants = owner ~= '' and {grant_owned_by(owner) or nil} or all_grants()
  local older_ms = older_s and older_s * 1000
  local count = 0
  for _, grant in ipairs(grants) do
    if not older_ms or math.max(0, now - grant.at) >= older_ms then
      count = count + #grant.ids
      release_grant(grant)
    end
  end
  return 'C ' .. num(count)
end

-- Releases the grants with these fences, as far as they are left, in this order.
local function release_these(fences)
  local count = 0
  for fence in fences:gmatch('%d+') do
    local grant = current(grant_with(fence))
    if grant then
      count = count + #grant.ids
      release_grant(grant)
    end
  end
  return 'C ' .. num(count)
end

-- Undoes a grant that could not be delivered, if it still exists.
local function undo(id, fence)
  local grant = grant_holding(id)
  if grant and grant.fence == fence and grant.owner == '' then
    release_grant(grant)
    return 'C ' .. num(#grant.ids)
  end
  return 'C 0'
end

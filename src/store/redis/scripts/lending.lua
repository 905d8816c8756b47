-- Who may take what, renew it and give it back: the operations, each with its arguments as they
-- come. Each answers its reply.
--
-- Promises the refusals of the engine, in its order; what is refused has changed nothing. It does
-- not know how anybody waits: that is in fragments further down, which come in only if somebody
-- does.

-- Hands a resource that has become free to whom it is due. It is defined in serving, before anybody
-- can be queued.
local offer

local function put_in_free(id)
  pool.high = pool.high + 1
  call('ZADD', key.free, pool.high, id)
end

-- Puts these back at the end of the order of lending, and takes them out of their grant with `take`.
-- Those that are members no longer are gone then.
--
-- Nobody is offered one before it is taken out, so of several the others become free after that if
-- there are waiters. An error in between must not keep them from it.
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

-- How many are free and not kept for an absent owner.
local function lendable_count()
  return math.max(0, call('ZCARD', key.free) - pool.kept)
end

-- What can be lent for this, whoever else may be waiting for it; nil if there is not enough.
local function free_for(n, id)
  if pool.kept > 0 and (n or 1) > lendable_count() then
    return
  end
  if n then
    return first_free(n)
  end
  local is_free = call('ZSCORE', key.free, id) and call('HEXISTS', key.held, id) == 0
  return is_free and {id} or nil
end

-- Why the pool could not serve this even if nobody held anything; nil if it could.
local function unsatisfiable(n, id)
  if n then
    local count = call('ZCARD', key.members)
    return n > count and 'E only ' .. num(count) or nil
  end
  return not call('ZSCORE', key.members, id) and 'E no resource' or nil
end

-- An owner asks for what it has: the same lock, its lease started anew.
local function recover(grant, n, id, ttl)
  local count = #grant.ids
  local is_the_same = n == count or (not n and count == 1 and grant.ids[1] == id)
  if not is_the_same then
    return 'E owner holds ' .. num(count)
  end
  renew_lease(grant, ttl)
  return 'H' .. leases(grant, grant.ids)
end

-- The reply to an acquire for which it does not matter what is free; nil if it does.
local function early_reply(n, id, owner, ttl)
  local own = grant_owned_by(owner)
  if own then
    return recover(own, n, id, ttl)
  end
  return unsatisfiable(n, id)
end

-- Acquires while the queue is empty. Nil if the request has to be queued. What is free can be lent, so
-- whether there is hope is asked last.
local function acquire_without_queue(serial, n, id, owner, ttl, wait)
  n = tonumber(n)
  local own = grant_owned_by(owner)
  if own then
    return recover(own, n, id, ttl)
  end
  local ids = free_for(n, id)
  if ids then
    return lend(ids, owner, ttl, wait ~= '0' and serial or '')
  end
  return unsatisfiable(n, id) or wait == '0' and 'E busy' or nil
end

local function release(id, owner, fence, force)
  local grant = grant_holding(id)
  if not grant then
    -- What an owner wants who repeats himself holds already.
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
  local refusal = not grant and 'E not held' or objection(grant, owner, fence, '0')
  if refusal then
    return refusal
  end
  renew_lease(grant, ttl)
  return 'L' .. leases(grant, {id})
end

local function renew_owned(owner, fence, ttl)
  local grant = grant_owned_by(owner)
  local refusal = not grant and 'E not held' or objection(grant, owner, fence, '0')
  if refusal then
    return refusal
  end
  renew_lease(grant, ttl)
  return 'L' .. leases(grant, grant.ids)
end

-- Releases what matches, the longest held first.
local function release_all(owner, older_s)
  local grants = owner ~= '' and {grant_owned_by(owner) or nil} or all_grants()
  local older_ms = (tonumber(older_s) or 0) * 1000
  local count = 0
  for _, grant in ipairs(grants) do
    if older_s == '' or math.max(0, now - grant.at) >= older_ms then
      count = count + #grant.ids
      release_grant(grant)
    end
  end
  return 'C ' .. num(count)
end

-- Takes a grant back that nobody was told of, if it is still there.
local function undo(id, fence)
  local grant = grant_holding(id)
  if grant and grant.fence == fence and grant.owner == '' then
    release_grant(grant)
    return 'C ' .. num(#grant.ids)
  end
  return 'C 0'
end

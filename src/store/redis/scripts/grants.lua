-- Grants: the resources under one fence, their owner, their start and their lease.
--
-- Expects: CHUNK, call, now, spread (begin); default_ttl (arguments or seed_head); made (head or seed_head); key, pool, num,
-- padded, try_to_remove, try_to_store (state).
-- Defines: grant_with, end_of_lease, current, grant_holding, grant_owned_by, all_grants, renew_lease,
-- seconds, leases, first_free, lend, end_grant, shrink_grant, objection.
--
-- The keys `held`, `grants`, `owners` and `expiry` agree, fences rise, and a resource is always in
-- some set. It may be both free and held, also for long if Redis stops a script: then it counts as
-- held. This fragment does not know why a resource is lent, nor to whom it goes next.

local function grant_of_row(fence, row)
  local at, ttl, owner, ids = row:match('^(%d+) (%S+)\n([^\n]*)\n(.*)$')
  local grant = {fence = fence, at = tonumber(at), ttl = ttl, owner = owner, ids = {}}
  for id in ids:gmatch('[^\n]+') do
    grant.ids[#grant.ids + 1] = id
  end
  return grant
end

-- Returns the grant with this fence, in the stored format.
local function grant_with(fence)
  local row = fence and call('HGET', key.grants, fence)
  return row and grant_of_row(fence, row)
end

-- Returns the end of a lease; nil if it does not end.
local function end_of_lease(fence)
  return tonumber(call('ZSCORE', key.expiry, padded(fence)))
end

-- Returns true if the lease of a grant is over. It may still be stored if more leases are over than
-- end in one call.
local function is_over(grant)
  local ends = pool.is_behind and grant.ttl ~= '-' and end_of_lease(grant.fence)
  return ends and ends <= now
end

-- Returns a grant unless its lease is over.
local function current(grant)
  return grant and not is_over(grant) and grant
end

local function grant_holding(id)
  return current(grant_with(call('HGET', key.held, id)))
end

local function grant_owned_by(owner)
  return current(grant_with(owner ~= '' and call('HGET', key.owners, owner)))
end

-- Returns all grants whose leases are not over, by their fences.
local function all_grants()
  local rows, is_ending = call('HGETALL', key.grants), {}
  for _, fence in ipairs(pool.is_behind and call('ZRANGEBYSCORE', key.expiry, '-inf', now) or {}) do
    is_ending[fence] = true
  end
  local grants = {}
  for at = 1, #rows, 2 do
    if not is_ending[padded(rows[at])] then
      grants[#grants + 1] = grant_of_row(rows[at], rows[at + 1])
    end
  end
  table.sort(grants, function(a, b) return tonumber(a.fence) < tonumber(b.fence) end)
  return grants
end

local function keep_grant(grant)
  local head = num(grant.at) .. ' ' .. grant.ttl .. '\n' .. grant.owner .. '\n'
  call('HSET', key.grants, grant.fence, head .. table.concat(grant.ids, '\n'))
end

-- Starts the lease now, for its length. The ms of `now` has begun already, so the lease ends with the
-- ms in which its length is over: never early.
local function start_lease(grant)
  if grant.ttl ~= '-' then
    grant.ends = now + grant.ttl * 1000 + 1
    call('ZADD', key.expiry, grant.ends, padded(grant.fence))
  end
end

-- Restarts a lease, with its last length if `ttl` is empty. A full Redis allows it.
local function renew_lease(grant, ttl)
  local is_changed = ttl ~= '' and ttl ~= grant.ttl
  grant.ttl = is_changed and ttl or grant.ttl
  if grant.ttl ~= '-' then
    try_to_remove()
    start_lease(grant)
  end
  if is_changed then
    keep_grant(grant)
  end
end

local function seconds(ms)
  return num(math.max(0, math.floor(ms / 1000)))
end

-- Formats the lease lines of these ids, all of this grant.
local function leases(grant, ids)
  local left = '-'
  if grant.ttl ~= '-' then
    grant.ends = grant.ends or tonumber(call('ZSCORE', key.expiry, padded(grant.fence))) or now
    left = seconds(grant.ends - now)
  end
  local head = grant.fence .. ' ' .. left .. ' ' .. seconds(now - grant.at) .. '\n'
    .. grant.owner .. '\n'
  return head .. table.concat(ids, '\n' .. head)
end

-- Returns those of these ids that are held.
local function held_of(ids)
  local held = {}
  for first = 1, #ids, CHUNK do
    local last = math.min(first + CHUNK - 1, #ids)
    local fences = call('HMGET', key.held, unpack(ids, first, last))
    for at = 1, #fences do
      if fences[at] then
        held[#held + 1] = ids[first + at - 1]
      end
    end
  end
  return held
end

-- Returns the first `n` free resources; nil if there are fewer.
local function first_free(n)
  local ids = call('ZRANGE', key.free, 0, n - 1)
  if #ids < n then
    return
  end
  local held = held_of(ids)
  if not held[1] then
    return ids
  end
  -- Redis stopped the script that released them.
  spread('ZREM', key.free, held)
  return first_free(n)
end

-- Grants these ids, which are free or reserved for the request. Returns the reply.
local function lend(ids, owner, ttl, serial)
  pool.fence = pool.fence + 1
  try_to_store()
  ttl = ttl == '' and default_ttl or ttl
  local grant = {fence = num(pool.fence), at = now, ttl = ttl, owner = owner, ids = ids}
  -- A lease without a grant ends without effect. A grant without a lease would never end.
  start_lease(grant)
  local pairs_held = {}
  for _, one in ipairs(grant.ids) do
    pairs_held[#pairs_held + 1] = one
    pairs_held[#pairs_held + 1] = grant.fence
  end
  keep_grant(grant)
  spread('HSET', key.held, pairs_held)
  spread('ZREM', key.free, ids)
  local reply = 'G' .. leases(grant, grant.ids)
  if owner ~= '' then
    call('HSET', key.owners, owner, grant.fence)
  else
    made[#made + 1] = serial
    made[#made + 1] = reply
  end
  return reply
end

-- Ends a grant, whose resources are free or become free now.
local function end_grant(grant)
  spread('HDEL', key.held, grant.ids)
  if grant.ttl ~= '-' then
    call('ZREM', key.expiry, padded(grant.fence))
  end
  if grant.owner ~= '' then
    call('HDEL', key.owners, grant.owner)
  end
  call('HDEL', key.grants, grant.fence)
end

-- Removes one id from a grant of several.
local function shrink_grant(grant, id)
  call('HDEL', key.held, '')
  for at = 1, #grant.ids do
    if grant.ids[at] == id then
      table.remove(grant.ids, at)
      break
    end
  end
  keep_grant(grant)
  call('HDEL', key.held, id)
end

-- Returns why the caller may not renew or release this lock; nil if it may.
local function objection(grant, owner, fence, force)
  if grant.owner ~= '' and grant.owner ~= owner and not force then
    return 'E not yours'
  end
  if fence ~= '' and fence ~= grant.fence then
    return 'E stale'
  end
end

-- Grants: what was lent under one fence, to whom, since when and for how long.
--
-- Promises that `held`, `grants`, `owners` and `expiry` agree, that fences rise, and that a resource
-- is at no moment in no set. It may be free and held for a moment, and stay so if Redis stops a
-- script: then it is held. It does not know why something is lent, nor who gets it next.

local function grant_of_row(fence, row)
  local at, ttl, owner, ids = row:match('^(%d+) (%S+)\n([^\n]*)\n(.*)$')
  local grant = {fence = fence, at = tonumber(at), ttl = ttl, owner = owner, ids = {}}
  for id in ids:gmatch('[^\n]+') do
    grant.ids[#grant.ids + 1] = id
  end
  return grant
end

-- The grant with this fence, which is given as it is kept.
local function grant_with(fence)
  local row = fence and call('HGET', key.grants, fence)
  return row and grant_of_row(fence, row)
end

-- When a lease ends; nil if it does not.
local function end_of_lease(fence)
  return tonumber(call('ZSCORE', key.expiry, padded(fence)))
end

-- Whether the time of a grant is over. It may not have ended yet, if more is over than ends in one go.
local function is_over(grant)
  local ends = pool.is_behind and grant.ttl ~= '-' and end_of_lease(grant.fence)
  return ends and ends <= now
end

-- A grant that counts: what is over is as good as ended.
local function current(grant)
  return grant and not is_over(grant) and grant
end

local function grant_holding(id)
  return current(grant_with(call('HGET', key.held, id)))
end

local function grant_owned_by(owner)
  return current(grant_with(owner ~= '' and call('HGET', key.owners, owner)))
end

-- All grants that count, in the order of their fences.
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

-- Starts the lease for its length, as of now. `now` is a millisecond that has begun, so the lease
-- ends with the millisecond in which its length is over: never early.
local function start_lease(grant)
  if grant.ttl ~= '-' then
    grant.ends = now + grant.ttl * 1000 + 1
    call('ZADD', key.expiry, grant.ends, padded(grant.fence))
  end
end

-- Starts a lease anew, for its last length if none is given. A full Redis allows that.
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

-- The lease lines of these ids, which are all in this grant.
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

-- Those of these ids that are held.
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

-- The first `n` that are free; nil if there are fewer.
local function first_free(n)
  local ids = call('ZRANGE', key.free, 0, n - 1)
  if #ids < n then
    return
  end
  local held = held_of(ids)
  if not held[1] then
    return ids
  end
  -- Redis has stopped the script that was giving them back.
  spread('ZREM', key.free, held)
  return first_free(n)
end

-- Makes a grant of these ids, which are free, or kept for who asks. Answers the reply.
local function lend(ids, owner, ttl, serial)
  pool.fence = pool.fence + 1
  try_to_store()
  ttl = ttl == '' and default_ttl or ttl
  local grant = {fence = num(pool.fence), at = now, ttl = ttl, owner = owner, ids = ids}
  -- A lease without a grant ends unnoticed. A grant without a lease would not end.
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

-- Ends a grant whose resources are free, or will be.
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

-- Takes one id out of a grant of several.
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

-- Why this lock may not be renewed or released by who says this of himself; nil if it may.
local function objection(grant, owner, fence, force)
  if grant.owner ~= '' and grant.owner ~= owner and force ~= '1' then
    return 'E not yours'
  end
  if fence ~= '' and fence ~= grant.fence then
    return 'E stale'
  end
end

-- Members of one or more pools, all or nothing. The last fragment of:
--
--   clock, arguments, begin, seed_head, first_fence, state, grants, lending, queue, serving, repair, due, seed
--
-- Expects: the names of all these fragments.
--
-- A new pool starts above every fence of any pool of its name. Nothing changes if a key of any of the pools has a
-- wrong type, or if one of them would have too many members. It does not know the index.

-- The longest list of members that the script makes.
local MAX_LISTED = 2000

-- Creates the pool if it is missing, without resources. A pool that was listed before left its latest fence when
-- it was removed. If there is none, Redis has lost it since the server read the list.
local function create_if_missing(seen_fence, was_listed)
  if not pool.exists then
    local left = tonumber(call('GET', key.fence))
    pool.exists = true
    -- Above each place of a removed pool of its name: a server that reads a list in slices sees that it is
    -- another pool.
    pool.seat = math.max(0, now) * 512
    pool.fence = math.max(retired, left or 0, seen_fence)
    if was_listed and not left then
      pool.fence = first_fence(now, pool.fence)
    end
  end
end

-- Puts each id at the end of the seeding order; new ones become free. With `only_new` members keep their places.
local function add_members(ids, only_new)
  local added, freed, is_named = {}, {}, {}
  for _, id in ipairs(ids) do
    local is_member = call('ZSCORE', key.members, id)
    if not is_named[id] and not (is_member and only_new) then
      is_named[id] = true
      added[#added + 1] = pool.seat
      added[#added + 1] = id
      pool.seat = pool.seat + 1
      if not is_member and call('HEXISTS', key.held, id) == 0 then
        pool.low = pool.low - 1
        freed[#freed + 1] = pool.low
        freed[#freed + 1] = id
      end
    end
  end
  spread('ZADD', key.members, added)
  spread('ZADD', key.free, freed)
end

-- Removes the members before this place in the seeding order. Held ones are dropped when they are released.
local function drop_members_before(first_index)
  local dropped = call('ZRANGEBYSCORE', key.members, '-inf', '(' .. num(first_index))
  spread('ZREM', key.members, dropped)
  spread('ZREM', key.free, dropped)
  if pool.waiting > 0 then
    spread('HDEL', key.reserved, dropped)
    spread('HDEL', key.ranks, dropped)
  end
end

-- Refuses and removes the waiters that can never be served now.
local function dismiss_unsatisfiable()
  for _, w in ipairs(waiters_where(function() return true end)) do
    local reply = unsatisfiable(w.n, w.id)
    if reply then
      dequeue(w)
      if w.server ~= '' then
        notify(w.server, w.serial, reply)
      end
    end
  end
end

local function apply(ids, is_new)
  if mode == 'add' then
    add_members(ids, true)
  else
    local first_index = pool.seat
    add_members(ids, false)
    drop_members_before(first_index)
    -- Equal counts prove nothing: a lost member may be offset by one that is held and free, or by a held resource
    -- that is no member.
    if not is_new then
      repair()
    end
    dismiss_unsatisfiable()
  end
  serve_from('-inf')
end

-- Returns the members. Those of a pool that was set are known to the server, and a long list is read in slices.
local function members_now()
  if mode ~= 'add' then
    return 'D'
  end
  if call('ZCARD', key.members) > MAX_LISTED then
    return 'long'
  end
  return 'M' .. table.concat(call('ZRANGE', key.members, 0, -1), '\n')
end

-- Returns true if these ids, from this argument on, would make the open pool too large.
local function is_too_much(at, count)
  local before = call('ZCARD', key.members)
  if count + (mode == 'add' and before or 0) <= max_members then
    return false
  end
  local after, is_named = mode == 'add' and before or 0, {}
  for one = at, at + count - 1 do
    local id = ARGV[one]
    if not is_named[id] and not (mode == 'add' and call('ZSCORE', key.members, id)) then
      after = after + 1
    end
    is_named[id] = true
  end
  return after > before and after > max_members
end

-- All pools are opened before any change, to check their keys.
local at, is_refused = FIRST_POOL, false
-- Whether each of them exists.
local known = {now, 'E too many resources'}
for _, name in ipairs(KEYS) do
  local count = tonumber(ARGV[at + 2])
  open(name, 0, true)
  known[#known + 1] = pool.exists and '1' or '0'
  is_refused = is_refused or is_too_much(at + 3, count)
  at = at + 3 + count
end
if is_refused then
  return known
end
local replies = {now}
at = FIRST_POOL
for _, name in ipairs(KEYS) do
  local seen_fence, was_listed, count = tonumber(ARGV[at]), ARGV[at + 1] == '1', tonumber(ARGV[at + 2])
  local ids = {}
  for one = at + 3, at + 2 + count do
    ids[#ids + 1] = ARGV[one]
  end
  at = at + 3 + count
  open(name, seen_fence, true)
  local is_new = not pool.exists
  create_if_missing(seen_fence, was_listed)
  try_to_grow()
  if not is_new then
    repair_if_lost()
    handle_due()
  end
  apply(ids, is_new)
  close()
  replies[#replies + 1] = members_now()
end
return replies

-- Repairs members that are in no set, and so never lent. Redis may have stopped a script of an older version in the
-- middle, or another program has changed the keys.
--
-- Expects: call, spread (begin); key, pool, try_to_change_queue (state); put_in_free (lending); serve_from
-- (serving).
-- Defines: repair, repair_if_lost.
--
-- Afterwards each member is free, held or reserved, and each free resource is a member and not held. It reads all
-- members at once.

local function repair()
  try_to_change_queue()
  local is_grant, is_placed = {}, {}
  for _, fence in ipairs(call('HKEYS', key.grants)) do
    is_grant[fence] = true
  end
  local held, ended = call('HGETALL', key.held), {}
  for at = 1, #held, 2 do
    if is_grant[held[at + 1]] then
      is_placed[held[at]] = true
    else
      ended[#ended + 1] = held[at]
    end
  end
  local members, is_member = call('ZRANGE', key.members, 0, -1), {}
  for _, id in ipairs(members) do
    is_member[id] = true
  end
  local dropped = {}
  for _, id in ipairs(call('ZRANGE', key.free, 0, -1)) do
    if is_placed[id] or not is_member[id] then
      dropped[#dropped + 1] = id
    end
    is_placed[id] = true
  end
  for _, id in ipairs(pool.waiting > 0 and call('HKEYS', key.reserved) or {}) do
    is_placed[id] = true
  end
  for _, id in ipairs(members) do
    if not is_placed[id] then
      put_in_free(id)
    end
  end
  spread('HDEL', key.held, ended)
  spread('ZREM', key.free, dropped)
end

local function repair_if_lost()
  if pool.has_lost then
    repair()
    serve_from('-inf')
  end
end

-- The pool as clients see it.
--
-- Expects: call (begin); key, pool, num (state); all_grants, grant_holding, leases (grants);
-- LONG, lendable_count (lending).
-- Defines: locks, lock_of, members, status.
--
-- It changes nothing, and returns no list longer than the given limit.

local function locks(most)
  if call('HLEN', key.held) > most then
    return LONG
  end
  local lines = {}
  for _, grant in ipairs(all_grants()) do
    lines[#lines + 1] = leases(grant, grant.ids)
  end
  return 'L' .. table.concat(lines, '\n')
end

local function lock_of(id)
  local grant = grant_holding(id)
  if grant then
    return 'L' .. leases(grant, {id})
  end
  return call('ZSCORE', key.members, id) and 'E not held' or 'E no resource'
end

local function members(most)
  if call('ZCARD', key.members) > most then
    return LONG
  end
  return 'M' .. table.concat(call('ZRANGE', key.members, 0, -1), '\n')
end

local function status()
  local count, held = call('ZCARD', key.members), call('HLEN', key.held)
  return 'S ' .. num(count) .. ' ' .. num(held) .. ' ' .. num(pool.waiting) .. ' '
    .. num(lendable_count())
end

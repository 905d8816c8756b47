-- The pool as others see it.
--
-- Promises to change nothing.

local function locks()
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

local function members()
  return 'M' .. table.concat(call('ZRANGE', key.members, 0, -1), '\n')
end

local function status()
  local count, held = call('ZCARD', key.members), call('HLEN', key.held)
  return 'S ' .. num(count) .. ' ' .. num(held) .. ' ' .. num(pool.waiting) .. ' '
    .. num(lendable_count())
end

-- The pool as others see it.
--
-- Promises to change nothing, and to make no list of more than it is asked for.

-- The answer instead of a longer list. The server reads that in slices, before the rest of its batch is carried out.
local LONG = 'long'

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

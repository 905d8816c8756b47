-- The keys of one pool.
--
-- Defines `keys_of`: all keys that are removed with the pool. The latest fence of a removed pool stays, and so
-- do the last grants of each server.

local function keys_of(base)
  local keys = {base}
  for _, part in ipairs({
    'members', 'free', 'held', 'grants', 'expiry', 'owners', 'line', 'any', 'wanted', 'waiters', 'queued', 'tickets',
    'absent', 'reserved', 'ranks', 'servers',
  }) do
    keys[#keys + 1] = base .. ':' .. part
  end
  return keys
end

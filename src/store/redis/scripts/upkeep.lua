-- The heartbeat of a server, and the removal of the pool.
--
-- Expects: call, now (begin); base, server (head, arguments); key, num, pool, try_to_remove (state); notify,
-- record_heartbeat, waiters_where (queue); serve_from (serving); keys_of (keys).
-- Defines: poll, remove.

-- Polls for this server's waiters, and records its heartbeat.
local function poll()
  local until_ms = tonumber(call('ZSCORE', key.servers, server))
  if not until_ms or until_ms <= now then
    call('ZREM', key.servers, server)
    return 'lapsed'
  end
  record_heartbeat()
  serve_from('-inf')
  return '-'
end

-- Removes the pool and answers its waiters. The last grants of each server stay known.
local function remove()
  local waiters = waiters_where(function(w) return w.server ~= '' end)
  -- Comes after a write that a full Redis allows, since it is not one.
  try_to_remove()
  call('SET', key.fence, num(pool.fence))
  call('UNLINK', unpack(keys_of(base)))
  pool.exists, pool.waiting = false, 0
  for _, w in ipairs(waiters) do
    notify(w.server, w.serial, 'E no pool')
  end
  return 'D ' .. num(pool.fence)
end

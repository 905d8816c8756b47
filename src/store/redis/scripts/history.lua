-- The history of the data in this Redis: one process that has kept all that it was told. The last fragment of:
--
--   clock, first_fence, history
--
-- Promises each server a number that all fences of this history are above, and all before it are not. A
-- Redis that was started again, or that a replica took the place of, has a new history: it may have lost
-- grants. It knows no pool.

local key, id, seen = KEYS[1], ARGV[1], tonumber(ARGV[2])
local known = redis.call('HMGET', key, 'id', 'above')
local now, above = clock(), tonumber(known[2]) or 0
-- A server that may not ask Redis who it is has an empty id.
if id == '' or known[1] ~= id then
  above = first_fence(now, math.max(above, seen))
  local written = redis.pcall('HSET', key, 'id', id, 'above', string.format('%.0f', above))
  -- A full Redis still takes releases. What is not written is found anew by the next connection.
  if type(written) == 'table' and written.err and not written.err:find('OOM', 1, true) then
    return written
  end
end
return {now, string.format('%.0f', above)}

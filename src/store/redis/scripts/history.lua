-- The history of the data in this Redis: one process that has kept all its data. The last fragment of:
--
--   clock, arguments, first_fence, history
--
-- Expects: clock, first_fence; id, seen, known_jumps, jump (arguments).
--
-- Returns a number below all fences of this history and above all earlier ones. A Redis that was restarted, or
-- replaced by a replica, has a new history: it may have lost grants. Each jump of the clock is added to the
-- sum once. It knows no pool.

local key = KEYS[1]

local row = redis.call('HMGET', key, 'id', 'above', 'jumps')
local now, above = clock(), tonumber(row[2]) or 0
local jumps = tonumber(row[3]) or known_jumps
if jumps == known_jumps then
  jumps = jumps + jump
end
-- The id is empty if the server may not ask for it.
if id == '' or row[1] ~= id then
  above = first_fence(now, math.max(above, seen))
end
local fields = {'id', id, 'above', string.format('%.0f', above), 'jumps', string.format('%.0f', jumps)}
if fields[2] ~= row[1] or fields[4] ~= row[2] or fields[6] ~= row[3] then
  local written = redis.pcall('HSET', key, unpack(fields))
  if type(written) == 'table' and written.err then
    -- A full Redis still takes releases. The next connection tries again to write this.
    if not written.err:find('OOM', 1, true) then
      return written
    end
    jumps = tonumber(row[3]) or known_jumps
  end
end
return {now - jumps, fields[4], string.format('%.0f', jumps)}

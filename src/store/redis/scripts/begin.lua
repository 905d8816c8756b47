-- The start of each script that writes pools: the fragment after its arguments.
--
-- Expects: clock; earliest, latest, jumps (its arguments).
-- Defines: now, call, format, CHUNK, spread.
--
-- It ends the script if the server has given up on the reply, or if the clock has jumped since that server
-- last saw it. It touches no key.

-- Without the jumps that servers have added: see `pipeline/clock.rs`.
local now = clock() - jumps
if now > latest or now < earliest then
  return {now, 'late'}
end

local call, format = redis.call, string.format

-- The limit on arguments of one call: `unpack` has a limit of about 8000. It is even, so that pairs stay
-- together.
local CHUNK = 4000

-- Calls a command with a list as its arguments: several times if it is long, never if it is empty.
local function spread(command, key, list)
  for first = 1, #list, CHUNK do
    call(command, key, unpack(list, first, math.min(first + CHUNK - 1, #list)))
  end
end

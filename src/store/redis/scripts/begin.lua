-- What pool and seed have in common before anything else: the fragment after `clock`.
--
-- Promises that nothing is done for a server which has given up waiting for the answer, or by a clock that has
-- jumped since that server has last heard of it. It knows no key, and touches none.

-- Without the jumps that servers have seen: see `pipeline/clock.rs`.
local now = clock() - ARGV[3]
if now > tonumber(ARGV[2]) or now < tonumber(ARGV[1]) then
  return {now, 'late'}
end

local call, format = redis.call, string.format

-- How many arguments one call gets at most: unpack has its limit at some 8000. It is even, so that
-- pairs stay together.
local CHUNK = 4000

-- Calls a command with all of a list as its arguments: several times if it is long, never if it is
-- empty.
local function spread(command, key, list)
  for first = 1, #list, CHUNK do
    call(command, key, unpack(list, first, math.min(first + CHUNK - 1, #list)))
  end
end

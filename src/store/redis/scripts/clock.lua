-- The time: milliseconds, as Redis' own clock has them.
--
-- Promises `clock`. Always the first fragment: tests put another one in its place. All servers ask
-- the same clock, so that none of them needs one that is right.

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
